#!/bin/sh
# Writes the generated part of the client: src/creditd/v1/*_pb2* from the
# project's .proto files, src/creditd/reason.py from the enum ErrorReason, and most of
# src/creditd/_sync from src/creditd/_async.
#
#   ./generate.sh           write it
#   ./generate.sh --check   change nothing; fail where the committed files differ
#
# $PYTHON is the Python to use, one that has requirements-dev.txt (default: python3).
set -eu

python=${PYTHON:-python3}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
proto=$here/../../proto
package=$here/src/creditd
want=1.71.2

case $# in
    0) check=no ;;
    *) [ "$1" = --check ] || { echo "usage: generate.sh [--check]" >&2; exit 2; }; check=yes ;;
esac

have=$("$python" -c 'import importlib.metadata as m; print(m.version("grpcio-tools"))') || {
    echo "generate.sh: $python has no grpcio-tools; install requirements-dev.txt or set PYTHON" >&2
    exit 1
}
[ "$have" = "$want" ] || {
    echo "generate.sh: needs grpcio-tools $want, $python has $have" >&2
    exit 1
}

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# google/rpc is only read here: its Python comes with googleapis-common-protos.
(
    cd "$proto"
    "$python" -m grpc_tools.protoc -I. \
        --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" \
        --include_source_info --descriptor_set_out="$out/descriptors.bin" \
        creditd/v1/*.proto
)
# A file without a service needs no stubs.
grep -L '^class .*Stub' "$out"/creditd/v1/*_pb2_grpc.py | while read -r empty; do rm "$empty"; done
"$python" "$here/tools/generate_reason.py" "$out/descriptors.bin" >"$out/creditd/reason.py"
mkdir "$out/creditd/_sync"
"$python" "$here/tools/generate_sync.py" "$out/creditd/_sync"

if [ $check = no ]; then
    rm -f "$package"/v1/*_pb2.py "$package"/v1/*_pb2.pyi "$package"/v1/*_pb2_grpc.py
    cp "$out"/creditd/v1/* "$package/v1/"
    cp "$out/creditd/reason.py" "$package/reason.py"
    cp "$out"/creditd/_sync/*.py "$package/_sync/"
    exit 0
fi

cp "$package/v1/__init__.py" "$out/creditd/v1/"
same=yes
diff -r -q -x __pycache__ "$out/creditd/v1" "$package/v1" || same=no
diff -q "$out/creditd/reason.py" "$package/reason.py" || same=no
for generated in "$out"/creditd/_sync/*.py; do
    diff "$package/_sync/$(basename "$generated")" "$generated" || same=no
done
[ $same = yes ] || {
    echo "generate.sh: the generated files are not those of the .proto files and of _async; run clients/python/generate.sh" >&2
    exit 1
}
