{{- define "lib.pod" }}
spec:
  containers:
  - image: {{ .image }}
{{- end }}
