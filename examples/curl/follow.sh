#!/bin/sh
# Follows a binding with curl alone: prints the list, then every change.
#   follow.sh http://127.0.0.1:8080/api products
# region follow
list="$1/$2"
headers=$(mktemp) && trap 'rm -f "$headers"' EXIT

curl -sSf -D "$headers" "$list"                                    # all rows
version=$(sed -n 's/^[Ee][Tt]ag: "\(.*\)".*/\1/p' "$headers")      # and which version they are

while :; do
    if ! answer=$(curl -sSf "$list?since=$version&wait=20"); then  # held until there is something newer
        sleep 1 && continue                                        # later, nothing is lost: it asks from its version
    fi
    version=$(printf '%s' "$answer" | grep -o '"version":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
    case $answer in
    *'"payload":"ok"'*) ;;                                         # nothing new within 20 seconds
    *) printf '%s\n' "$answer" ;;
    esac
done
# endregion
