"""The contestants, one module each.

Importing a module here is importing the contestant. Each has one function,

    connect(endpoint, **options) -> {"put": …, "get": …, "query": …, "close": …}

which makes a client in the way that library's manual shows and returns its operations: `put()` stores the item of
`bench.items`, `get()` reads it, `query(limit)` reads that many items of index `indexScope`, newest first, and returns
them as a list. Region and credentials come from the environment, as in Lambda. This file imports nothing: what it
imported would be missing from every contestant's bill.
"""
