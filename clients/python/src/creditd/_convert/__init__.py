"""Messages at the boundary, for both clients.

`thing_to_pb` refuses values that cannot be sent exactly, before anything is sent; `thing_from_pb`
reads replies. Where a field that a reply always has is missing, it raises ValueError and does not
take it for 0.
"""
