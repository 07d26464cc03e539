"""Messages at the boundary, for both clients.

`thing_to_pb` refuses what cannot be sent exactly, before anything is sent; `thing_from_pb` takes
what the server sends. A field that a reply always has and that is missing is a ValueError, never
a guessed 0.
"""
