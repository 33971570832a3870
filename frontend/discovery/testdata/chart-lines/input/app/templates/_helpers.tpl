{{- define "app.sidecar" -}}
- name: sidecar
  image: {{ .Values.b }}
{{- end }}
{{- define "app.image" -}}
image: {{ .Values.a }}
{{- end }}
