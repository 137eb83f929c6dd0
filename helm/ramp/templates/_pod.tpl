{{/* What all pods have in common. (dict "root" $ "component" "replay" "values" .Values.replay) */}}

{{/* Metadata of a pod. Nothing of the chart's version: an upgrade that changes no more than that restarts nothing. */}}
{{- define "ramp.pod.metadata" -}}
labels:
  {{- include "ramp.selector" . | nindent 2 }}
  app.kubernetes.io/part-of: ramp-fleet
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .values.podLabels }}
  {{- tpl (toYaml .) $.root | nindent 2 }}
  {{- end }}
annotations:
  {{- if ne .component "redis" }}
  checksum/config: {{ include "ramp.settings" .root | sha256sum }}
  {{- end }}
  {{- with .values.podAnnotations }}
  {{- tpl (toYaml .) $.root | nindent 2 }}
  {{- end }}
  {{- if eq .component "redis" }}
  checksum/secret: {{ include "ramp.redis.secret" .root | sha256sum }}
  {{- end }}
{{- end -}}

{{/* Who it runs as and where. `automount`: whether it talks to the API server. */}}
{{- define "ramp.pod.place" -}}
serviceAccountName: {{ include "ramp.serviceAccount" . }}
automountServiceAccountToken: {{ .automount | default false }}
enableServiceLinks: false
securityContext:
  {{- mergeOverwrite (deepCopy .root.Values.podSecurityContext) (.podSecurity | default dict) | toYaml | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - labelSelector:
      matchLabels:
        {{- include "ramp.selector" $ | nindent 8 }}
    {{- tpl (toYaml .) $.root | nindent 4 }}
  {{- end }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds }}
{{- with .values.initContainers }}
initContainers:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Of the main container. `env` and `mounts` are what its component adds, as YAML lists; `resources` may replace the values'. */}}
{{- define "ramp.container" -}}
image: {{ .image | default (include "ramp.image" .root) }}
imagePullPolicy: {{ .pullPolicy | default .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.containerSecurityContext | nindent 2 }}
{{- if or .env .values.extraEnv }}
env:
  {{- with .env }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- with .values.extraEnv }}
  {{- tpl (toYaml .) $.root | nindent 2 }}
  {{- end }}
{{- end }}
{{- with .values.extraEnvFrom }}
envFrom:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
resources:
  {{- toYaml (.resources | default .values.resources) | nindent 2 }}
{{- with .values.lifecycle | default .lifecycle }}
lifecycle:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- with .mounts }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- with .values.extraVolumeMounts }}
  {{- tpl (toYaml .) $.root | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Further containers. */}}
{{- define "ramp.pod.sidecars" -}}
{{- with .values.sidecars }}
{{ tpl (toYaml .) $.root }}
{{- end }}
{{- end -}}

{{/* `volumes` are those of its component, as a YAML list. */}}
{{- define "ramp.pod.volumes" -}}
volumes:
  - name: tmp
    emptyDir: {}
  {{- with .volumes }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- with .values.extraVolumes }}
  {{- tpl (toYaml .) $.root | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The password of Redis, for every pod that speaks to it. */}}
{{- define "ramp.env.redis" -}}
{{- if include "ramp.redis.guarded" . }}
- name: RAMP_REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "ramp.redis.secret" . }}
      key: {{ .Values.redis.existingSecretKey }}
{{- end }}
{{- end -}}

{{- define "ramp.mount.settings" -}}
- name: settings
  mountPath: /etc/ramp/settings.yaml
  subPath: settings.yaml
  readOnly: true
{{- end -}}

{{- define "ramp.volume.settings" -}}
- name: settings
  configMap:
    name: {{ include "ramp.config.name" . }}
{{- end -}}

{{/* Who may come in: digests, read by servers. The kubelet brings changes, so no subPath. */}}
{{- define "ramp.mount.tokens" -}}
- name: tokens
  mountPath: /etc/ramp/tokens
  readOnly: true
{{- end -}}

{{- define "ramp.volume.tokens" -}}
- name: tokens
  secret:
    secretName: {{ include "ramp.tokens.secret" . }}
    defaultMode: 0440
    items:
      - key: tokens.yaml
        path: tokens.yaml
{{- end -}}

{{/* The tokens themselves, shown by clients: (dict "root" $ "roles" (list "actor")). */}}
{{- define "ramp.mount.secrets" -}}
- name: secrets
  mountPath: /etc/ramp/secrets
  readOnly: true
{{- end -}}

{{- define "ramp.volume.secrets" -}}
- name: secrets
  secret:
    secretName: {{ include "ramp.tokens.secret" .root }}
    defaultMode: 0440
    items:
      {{- range .roles }}
      - key: {{ . }}
        path: {{ . }}
      {{- end }}
{{- end -}}

{{- define "ramp.mount.tls" -}}
{{- if .Values.tls.enabled }}
- name: tls
  mountPath: /etc/ramp/tls
  readOnly: true
{{- end }}
{{- end -}}

{{- define "ramp.volume.tls" -}}
{{- if .Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "ramp.tls.secret" . }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "ramp.volume.runs" -}}
- name: runs
  persistentVolumeClaim:
    claimName: {{ include "ramp.runs.claim" . }}
{{- end -}}

{{/* How the kubelet asks a gRPC server; over TLS by the client's own probe.
     (dict "root" $ "port" 7001 "service" ""); without a service it asks for the process as a whole. */}}
{{- define "ramp.probe" -}}
{{- if .root.Values.tls.enabled -}}
exec:
  command:
    - python
    - -m
    - services.clients.probe
    - localhost:{{ .port }}
    - --ca
    - /etc/ramp/tls/ca.crt
    {{- if .root.Values.tls.mutual }}
    - --certificate
    - /etc/ramp/tls/tls.crt
    - --key
    - /etc/ramp/tls/tls.key
    {{- end }}
    {{- with .service }}
    - --service
    - {{ . }}
    {{- end }}
{{- else -}}
grpc:
  port: {{ .port }}
  {{- with .service }}
  service: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}
