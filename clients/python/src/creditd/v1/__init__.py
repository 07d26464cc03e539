"""The messages and stubs of the API creditd.v1, as generate.sh makes them."""
