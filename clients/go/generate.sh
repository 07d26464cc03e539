#!/usr/bin/env bash
# Generates creditdv1/ and reason.go from the .proto files of this repository.
#
# Needs go, and a Python with grpcio-tools, whose protoc does the parsing:
#
#   PYTHON     the Python to use (default: python3)
#   TOOLS_BIN  where the pinned Go plugins are installed (default: <repo>/.tools/bin)
#
# The result depends only on the .proto files and on the versions below, so
# running it twice changes nothing.
set -euo pipefail

grpcio_tools_version=1.71.2
protoc_gen_go_version=v1.36.11
protoc_gen_go_grpc_version=v1.6.2

client_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo_dir=$(cd "$client_dir/../.." && pwd)
proto_dir=$repo_dir/proto
python=${PYTHON:-python3}
tools_bin=${TOOLS_BIN:-$repo_dir/.tools/bin}

fail() {
  echo "generate.sh: $*" >&2
  exit 1
}

# Installs a Go plugin unless the pinned version is there already.
ensure_plugin() { # name package version
  local plugin=$tools_bin/$1
  # One plugin prints its version with a "v" and the other without.
  if [ -x "$plugin" ] && [[ $("$plugin" --version) =~ \ v?"${3#v}"$ ]]; then
    return
  fi
  GOBIN=$tools_bin go install "$2@$3" || fail "cannot install $2@$3"
}

command -v go >/dev/null || fail "go is missing; install Go 1.25 or later"
command -v "$python" >/dev/null || fail "$python is missing; set PYTHON to a Python 3"
found=$("$python" -c 'import importlib.metadata as m; print(m.version("grpcio-tools"))' 2>/dev/null) ||
  fail "$python has no grpcio-tools; run: $python -m pip install grpcio-tools==$grpcio_tools_version"
[ "$found" = "$grpcio_tools_version" ] ||
  fail "$python has grpcio-tools $found; run: $python -m pip install grpcio-tools==$grpcio_tools_version"

mkdir -p "$tools_bin"
tools_bin=$(cd "$tools_bin" && pwd)
cd "$client_dir"
ensure_plugin protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go "$protoc_gen_go_version"
ensure_plugin protoc-gen-go-grpc google.golang.org/grpc/cmd/protoc-gen-go-grpc "$protoc_gen_go_grpc_version"

# Everything is made in a scratch directory first, so that a failure leaves the
# committed files as they are and a removed .proto leaves no stale file behind.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
module=$(go list -m)

(
  cd "$proto_dir"
  "$python" -m grpc_tools.protoc \
    --proto_path=. \
    --plugin=protoc-gen-go="$tools_bin/protoc-gen-go" \
    --plugin=protoc-gen-go-grpc="$tools_bin/protoc-gen-go-grpc" \
    --go_out="$scratch" --go_opt=module="$module" \
    --go-grpc_out="$scratch" --go-grpc_opt=module="$module" \
    --descriptor_set_out="$scratch/creditd.binpb" --include_source_info \
    creditd/v1/*.proto
) || fail "protoc refused the .proto files"

go run ./internal/reasongen <"$scratch/creditd.binpb" >"$scratch/reason.go"

mkdir -p creditdv1
rm -f creditdv1/*.pb.go
cp "$scratch"/creditdv1/*.pb.go creditdv1/
cp "$scratch/reason.go" reason.go
