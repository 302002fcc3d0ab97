"""DynamoDB single-table design for latency-sensitive AWS Lambda functions."""

__version__ = "0.1.0"
