{{/* A pod of Ray. (dict "root" $ "component" "actor" "values" .Values.rollouts "roles" (list "actor") "port" 9102) */}}
{{- define "ramp.ray.template" -}}
{{- $root := .root -}}
metadata:
  {{- include "ramp.pod.metadata" . | nindent 2 }}
spec:
  {{- include "ramp.pod.place" . | nindent 2 }}
  containers:
    - name: {{ ternary "ray-head" "ray-worker" (eq .component "conductor") }}
      ports:
        {{- if eq .component "conductor" }}
        - name: gcs-server
          containerPort: 6379
        - name: dashboard
          containerPort: 8265
        - name: client
          containerPort: 10001
        {{- end }}
        - name: metrics  # Ray's own
          containerPort: 8080
        - name: ramp-metrics
          containerPort: {{ .port }}
      {{- $mounts := list "- name: shm\n  mountPath: /dev/shm" "- name: runs\n  mountPath: /runs" (include "ramp.mount.settings" $root) (include "ramp.mount.secrets" $root) (include "ramp.mount.tls" $root | trim) | join "\n" }}
      {{- $env := include "ramp.env.redis" $root }}
      {{- if not $root.Values.ray.auth.enabled }}
      {{- $env = printf "%s\n- name: RAY_AUTH_MODE  # Ray's own default asks for a token\n  value: disabled" $env }}
      {{- end }}
      {{- if eq .component "conductor" }}
      {{- $env = printf "%s\n- name: RAY_JOB_STOP_WAIT_TIME_S  # for the learner's checkpoint and the actors' last episodes\n  value: \"60\"" $env }}
      {{- end }}
      {{- $resources := deepCopy .values.resources }}
      {{- if (.values.gpu | default dict).enabled }}
      {{- $gpu := dict .values.gpu.resource .values.gpu.count }}
      {{- $resources = mergeOverwrite $resources (dict "limits" $gpu "requests" $gpu) }}
      {{- end }}
      {{- include "ramp.container" (merge (dict "env" $env "mounts" $mounts "resources" $resources) .) | nindent 6 }}
    {{- include "ramp.pod.sidecars" . | nindent 4 }}
  {{- $shm := printf "- name: shm\n  emptyDir:\n    medium: Memory\n    sizeLimit: %s" .values.sharedMemory }}
  {{- $volumes := list $shm (include "ramp.volume.runs" $root) (include "ramp.volume.settings" $root) (include "ramp.volume.secrets" .) (include "ramp.volume.tls" $root | trim) | join "\n" }}
  {{- include "ramp.pod.volumes" (merge (dict "volumes" $volumes) .) | nindent 2 }}
{{- end -}}

{{/* What every `ray start` gets: an object store that fits into /dev/shm, then the group's own. */}}
{{- define "ramp.ray.start" -}}
{{- $bytes := mulf (include "ramp.gib" .values.sharedMemory | float64) 858993459 | int64 -}}
{{- toYaml (merge (deepCopy .values.rayStartParams) (dict "object-store-memory" (toString $bytes)) (.own | default dict)) -}}
{{- end -}}

{{- define "ramp.ray.cluster" -}}
rayVersion: {{ .Values.ray.version | quote }}
{{- if .Values.ray.auth.enabled }}
authOptions:
  mode: token
  {{- with .Values.ray.auth.existingSecret }}
  secretName: {{ tpl . $ }}
  {{- end }}
{{- end }}
{{- $ft := .Values.ray.gcsFaultTolerance }}
{{- if eq $ft.backend "redis" }}
gcsFaultToleranceOptions:
  backend: redis
  redisAddress: {{ regexReplaceAll "^(rediss?://)([^/@]*@)?([^/]+)(/.*)?$" (tpl .Values.redis.externalUrl .) "${1}${3}" | quote }}
  {{- if .Values.redis.existingSecret }}
  redisPassword:
    valueFrom:
      secretKeyRef:
        name: {{ include "ramp.redis.secret" . }}
        key: {{ .Values.redis.existingSecretKey }}
  {{- end }}
{{- else if eq $ft.backend "rocksdb" }}
gcsFaultToleranceOptions:
  backend: rocksdb
  storage:
    size: {{ $ft.storage.size }}
    {{- with $ft.storage.storageClass }}
    storageClassName: {{ . | quote }}
    {{- end }}
{{- end }}
{{- if .Values.ray.autoscaling.enabled }}
enableInTreeAutoscaling: true
autoscalerOptions:
  version: v2
  idleTimeoutSeconds: {{ .Values.ray.autoscaling.idleTimeoutSeconds }}
  securityContext:
    {{- toYaml .Values.containerSecurityContext | nindent 4 }}
  resources:
    {{- toYaml .Values.ray.autoscaling.resources | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
{{- end }}
headGroupSpec:
  rayStartParams:
    {{- include "ramp.ray.start" (dict "values" .Values.conductor "own" (dict "dashboard-host" "0.0.0.0" "num-cpus" "0")) | nindent 4 }}
  template:
    {{- include "ramp.ray.template" (dict "root" . "component" "conductor" "values" .Values.conductor "roles" (list "actor" "learner" "operator") "port" 9100 "automount" .Values.ray.autoscaling.enabled) | nindent 4 }}
workerGroupSpecs:
  {{- range $group := list
        (dict "name" "rollouts" "component" "actor" "resource" "rollout" "port" 9102 "values" .Values.rollouts)
        (dict "name" "learners" "component" "learner" "resource" "learner" "port" 9103 "values" .Values.learners) }}
  - groupName: {{ $group.name }}
    {{- if $.Values.ray.autoscaling.enabled }}
    minReplicas: {{ $group.values.minReplicas }}
    maxReplicas: {{ $group.values.maxReplicas }}
    {{- else }}
    replicas: {{ $group.values.replicas }}
    minReplicas: {{ $group.values.replicas }}
    maxReplicas: {{ $group.values.replicas }}
    {{- end }}
    resources:  # one {{ $group.component }} process a pod
      {{ $group.resource }}: "1"
    rayStartParams:
      {{- include "ramp.ray.start" (dict "values" $group.values) | nindent 6 }}
    template:
      {{- include "ramp.ray.template" (dict "root" $ "component" $group.component "values" $group.values "roles" (list $group.component) "port" $group.port) | nindent 6 }}
  {{- end }}
{{- end -}}
