"""One attempt to DynamoDB: bytes in, bytes out."""
