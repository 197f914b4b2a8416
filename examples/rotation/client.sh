#!/bin/sh
# The same as client.mjs with nothing but curl:
#   sh examples/rotation/client.sh <data folder> [<address of the verify API>]
file="${1:-.keywright-rotation}/secrets/default/rotating-api-key/api-key"
address="${2:-http://127.0.0.1:8080}"
request='{"method":"GET","path":"/v1/subscribers","host":"api.example.com","scheme":"https"}'

while :; do
  # From standard input: what is on a command line, others can read.
  answer=$(printf '{"key":"%s","request":%s}' "$(cat "$file")" "$request" | curl -s "$address/v1/verify" -d @-)
  case "$answer" in
  *'"allowed":true'*) echo "allowed $(printf '%s' "$answer" | sed 's/.*"keyId":"\([^"]*\)".*/\1/')" ;;
  *) echo "refused $answer" ;;
  esac
  sleep 0.2
done
