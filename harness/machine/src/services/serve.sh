#!/bin/sh
# Reads one HTTP request from standard input and writes the response to standard output. The folder of
# this file contains the pages:
#   pages           one line `NUMBER METHOD PATH` per page
#   NUMBER.headers  headers that a request must have: lines `name: value`, `*` matches any value
#   NUMBER.body     the response body
folder=$(dirname "$0")
return=$(printf '\r')

answer() {
    printf 'HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' "$1" "$(wc -c < "$2")"
    cat "$2"
    exit
}

read -r method path _ || exit
headers=''
while IFS= read -r line && line=${line%"$return"} && [ -n "$line" ]; do
    name=$(printf '%s' "${line%%:*}" | tr '[:upper:]' '[:lower:]')
    headers="$headers
$name: ${line#*: }"
done

while read -r number known at; do
    [ "$path" = "$at" ] || continue
    [ "$method" = "$known" ] || answer '405 Method Not Allowed' /dev/null
    while IFS= read -r wanted; do
        case "$headers
" in
        *"
$wanted
"*) ;;
        *) case "$wanted:$headers" in
            *': *:'*"
${wanted%\*}"*) ;;
            *) answer '401 Unauthorized' /dev/null ;;
            esac ;;
        esac
    done < "$folder/$number.headers"
    answer '200 OK' "$folder/$number.body"
done < "$folder/pages"
answer '404 Not Found' /dev/null
