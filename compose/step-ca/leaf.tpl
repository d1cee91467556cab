{{- /*
  What step-ca signs for mosaic-fed. Everything comes from the one-time token, which only mosaic-fed can sign; of the
  certificate request step-ca takes the key and nothing else. A token without these claims gets nothing.
  The two private extensions are DER UTF8Strings (tag 0c) of a UUID (36 = hex 24 bytes).
*/ -}}
{{- $order := .Token.mosaic -}}
{{- if not $order }}{{ fail "the token is none of mosaic-fed" }}{{ end -}}
{
  "subject": {},
  "uris": [{{ toJson $order.id }}],
{{- if eq $order.kind "grant" }}
  "extensions": [
    {"id": "1.3.6.1.4.1.99999.1", "value": {{ printf "\x0c\x24%s" $order.grant | b64enc | toJson }}},
    {"id": "1.3.6.1.4.1.99999.2", "value": {{ printf "\x0c\x24%s" $order.subject | b64enc | toJson }}}
  ],
  "extKeyUsage": ["clientAuth"],
{{- else if eq $order.kind "instance" }}
  "dnsNames": {{ toJson $order.names }},
  "extKeyUsage": ["serverAuth"],
{{- else }}{{ fail "the token is for no kind of certificate that mosaic-fed has" }}
{{- end }}
  "keyUsage": ["digitalSignature"]
}
