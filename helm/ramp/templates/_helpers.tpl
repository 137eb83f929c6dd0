{{/* Names. A StatefulSet's pods and a RayJob's cluster add to them: 40 characters leave room for both. */}}
{{- define "ramp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "ramp.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "ramp.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "ramp.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of a component's objects. (dict "root" $ "component" "replay") A long one is cut and told apart by a digest. */}}
{{- define "ramp.component.name" -}}
{{- $full := include "ramp.fullname" .root -}}
{{- $limit := sub 45 (len .component) | int -}}
{{- if gt (len $full) $limit -}}
{{- $full = printf "%s-%s" ($full | trunc (sub $limit 7 | int) | trimSuffix "-") ($full | sha256sum | trunc 6) -}}
{{- end -}}
{{- printf "%s-%s" $full .component -}}
{{- end -}}

{{- define "ramp.replay.name" -}}{{ include "ramp.component.name" (dict "root" . "component" "replay") }}{{- end -}}
{{- define "ramp.policy.name" -}}{{ include "ramp.component.name" (dict "root" . "component" "policy") }}{{- end -}}
{{- define "ramp.redis.name" -}}{{ include "ramp.component.name" (dict "root" . "component" "redis") }}{{- end -}}
{{- define "ramp.ray.name" -}}{{ include "ramp.component.name" (dict "root" . "component" "ray") }}{{- end -}}
{{- define "ramp.config.name" -}}{{ include "ramp.component.name" (dict "root" . "component" "settings") }}{{- end -}}

{{/* Selectors: nothing in them ever changes. */}}
{{- define "ramp.selector" -}}
app.kubernetes.io/name: {{ include "ramp.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of objects. (dict "root" $ "component" "replay") */}}
{{- define "ramp.labels" -}}
{{ include "ramp.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/part-of: ramp-fleet
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ramp.image" -}}
{{- $image := .Values.image -}}
{{- $name := printf "%s%s" (ternary (printf "%s/" $image.registry) "" (ne $image.registry "")) $image.repository -}}
{{- if $image.digest -}}{{ $name }}@{{ $image.digest }}{{- else -}}{{ $name }}:{{ $image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}

{{/* Secrets: the given one, else the one that the chart makes. */}}
{{- define "ramp.tokens.secret" -}}
{{- tpl .Values.tokens.existingSecret . | default (include "ramp.component.name" (dict "root" . "component" "tokens")) -}}
{{- end -}}
{{- define "ramp.redis.secret" -}}
{{- tpl .Values.redis.existingSecret . | default (include "ramp.redis.name" .) -}}
{{- end -}}
{{- define "ramp.tls.secret" -}}
{{- tpl .Values.tls.existingSecret . | default (include "ramp.component.name" (dict "root" . "component" "tls")) -}}
{{- end -}}
{{- define "ramp.runs.claim" -}}
{{- tpl .Values.runs.existingClaim . | default (include "ramp.component.name" (dict "root" . "component" "runs")) -}}
{{- end -}}

{{/* Whether there is a password for Redis: the bundled one always has one. */}}
{{- define "ramp.redis.guarded" -}}
{{- if or .Values.redis.enabled .Values.redis.existingSecret -}}true{{- end -}}
{{- end -}}

{{- define "ramp.redis.url" -}}
{{- if .Values.redis.enabled -}}
redis://{{ include "ramp.redis.name" . }}.{{ .Release.Namespace }}.svc:6379/0
{{- else -}}
{{ tpl .Values.redis.externalUrl . }}
{{- end -}}
{{- end -}}

{{- define "ramp.serviceAccount" -}}
{{- $given := index .root.Values.serviceAccounts.names .component -}}
{{- if $given -}}{{ $given }}
{{- else if .root.Values.serviceAccounts.create -}}{{ include "ramp.component.name" . }}
{{- else -}}default{{- end -}}
{{- end -}}

{{/* NAME=HOST:PORT of every shard, as replay.address wants it. */}}
{{- define "ramp.replay.addresses" -}}
{{- $name := include "ramp.replay.name" . -}}
{{- $found := list -}}
{{- range $number := until (int .Values.replay.shards) -}}
{{- $found = append $found (printf "shard-%d=%s-%d.%s.%s.svc:7001" $number $name $number $name $.Release.Namespace) -}}
{{- end -}}
{{- join "," $found -}}
{{- end -}}

{{/* A quantity such as 200Gi or 1.5T in GiB, as a float. */}}
{{- define "ramp.gib" -}}
{{- $units := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 -}}
{{- $text := toString . -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- if not (hasKey $units $unit) -}}{{- fail (printf "%s is no quantity; write it like 200Gi" $text) -}}{{- end -}}
{{- divf (mulf (regexFind "^[0-9.]+" $text | float64) (get $units $unit)) 1073741824.0 -}}
{{- end -}}

{{/* How many pods a Ray group has at most: so many processes the run asks for. */}}
{{- define "ramp.group.most" -}}
{{- if .root.Values.ray.autoscaling.enabled -}}{{ int .group.maxReplicas }}{{- else -}}{{ int .group.replicas }}{{- end -}}
{{- end -}}

{{/* The run's settings: what the chart knows, and .Values.settings over it. */}}
{{- define "ramp.settings" -}}
{{- $replay := dict
      "address" (include "ramp.replay.addresses" .)
      "shards" (int .Values.replay.shards)
      "flight_port" 7002
      "exposed" (not .Values.tls.enabled)
      "tokens" "/etc/ramp/tokens/tokens.yaml"
      "secrets" "/etc/ramp/secrets" -}}
{{- if .Values.tls.enabled -}}
{{- $tls := dict "certificate" "/etc/ramp/tls/tls.crt" "key" "/etc/ramp/tls/tls.key" "ca" "/etc/ramp/tls/ca.crt" -}}
{{- if .Values.tls.mutual -}}
{{- $tls = merge $tls (dict "client_ca" "/etc/ramp/tls/ca.crt" "client_certificate" "/etc/ramp/tls/tls.crt" "client_key" "/etc/ramp/tls/tls.key") -}}
{{- end -}}
{{- $_ := set $replay "tls" $tls -}}
{{- end -}}
{{- $chart := dict
      "recipe" "metaworld"
      "replay" $replay
      "redis" (dict "url" (include "ramp.redis.url" .) "run" (printf "%s-%s" .Release.Namespace .Release.Name))
      "ray" (dict "address" "auto")
      "metrics" (dict "host" "0.0.0.0" "port" 9100)
      "actors" (dict "count" (include "ramp.group.most" (dict "root" . "group" .Values.rollouts) | int) "resource" "rollout" "metrics_port" 9102)
      "learner" (dict "workers" (include "ramp.group.most" (dict "root" . "group" .Values.learners) | int) "resource" "learner" "metrics_port" 9103) -}}
{{- toYaml (mergeOverwrite $chart (deepCopy .Values.settings)) -}}
{{- end -}}
