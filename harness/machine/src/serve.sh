#!/bin/sh
# Answers one HTTP request, on standard input and output, with a page of the folder that this file is
# in: `pages` has a line `NUMBER METHOD PATH` for each, NUMBER.headers what a request must say (a
# line `name: value`, `*` for any value), NUMBER.body what is answered.
folder=$(dirname "$0")
return=$(printf '\r')

answer() {
    printf 'HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' "$1" "$(wc -c < "$2")"
    cat "$2"
    exit
}

read -r method path _ || exit
said=''
while IFS= read -r line && line=${line%"$return"} && [ -n "$line" ]; do
    name=$(printf '%s' "${line%%:*}" | tr '[:upper:]' '[:lower:]')
    said="$said
$name: ${line#*: }"
done

while read -r number known at; do
    [ "$path" = "$at" ] || continue
    [ "$method" = "$known" ] || answer '405 Method Not Allowed' /dev/null
    while IFS= read -r wanted; do
        case "$said
" in
        *"
$wanted
"*) ;;
        *) case "$wanted:$said" in
            *': *:'*"
${wanted%\*}"*) ;;
            *) answer '401 Unauthorized' /dev/null ;;
            esac ;;
        esac
    done < "$folder/$number.headers"
    answer '200 OK' "$folder/$number.body"
done < "$folder/pages"
answer '404 Not Found' /dev/null
