// What packs the Go client as a module proxy serves it: scripts/dist.py.
module github.com/creditd/creditd/scripts/gomodule

go 1.26.0

require golang.org/x/mod v0.43.0
