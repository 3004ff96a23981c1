{{- /* Refuse a namespace in which Fairway is installed by other means, or as another release. */ -}}
{{- define "fairway.check" -}}
{{- $there := lookup "v1" "ConfigMap" .Release.Namespace "fairway-install" -}}
{{- if $there -}}
{{- $release := dig "metadata" "annotations" "meta.helm.sh/release-name" "" $there -}}
{{- if not $release -}}
{{- fail (printf "Fairway is in namespace %s already, and Helm did not install it: change it with `fairway upgrade --namespace %s`, or remove it first with `fairway uninstall --keep-data --namespace %s`" .Release.Namespace .Release.Namespace .Release.Namespace) -}}
{{- else if ne $release .Release.Name -}}
{{- fail (printf "Fairway is in namespace %s already, as the release %s: change it with `helm upgrade %s CHART --namespace %s`" .Release.Namespace $release $release .Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- if lt (include "fairway.size" . | int64) 1048576 -}}
{{- fail (printf "a store of size %v is too small: set `size` to 1Mi or more" .Values.size) -}}
{{- end -}}
{{- end -}}

{{- /* The image. Lint has none to check. */ -}}
{{- define "fairway.image" -}}
{{- required "there is no image: `fairway image push REGISTRY` pushes one, and prints its name for `--set image=…`" .Values.image -}}
{{- end -}}

{{- /* The identity: the one that is set, or that of the volume that is there, or one that the namespace always gives. */ -}}
{{- define "fairway.uid" -}}
{{- $kept := lookup "v1" "PersistentVolumeClaim" .Release.Namespace "fairway-store" | dig "metadata" "annotations" "fairway.dev/uid" "" -}}
{{- $made := printf "fairway/%s" .Release.Namespace | sha256sum | trunc 32 -}}
{{- .Values.uid | default $kept | default $made -}}
{{- end -}}

{{- /* The size of the store's volume in bytes. */ -}}
{{- define "fairway.size" -}}
{{- $units := dict "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $size := .Values.size | toRawJson | trimAll "\"" -}}
{{- mul (regexFind "^[0-9]+" $size | int64) (get $units (regexFind "[A-Za-z]*$" $size)) -}}
{{- end -}}

{{- /* Bytes as Kubernetes writes them, exactly. */ -}}
{{- define "fairway.quantity" -}}
{{- $bytes := int64 . -}}
{{- if not (mod $bytes 1073741824) -}}{{ div $bytes 1073741824 }}Gi
{{- else if not (mod $bytes 1048576) -}}{{ div $bytes 1048576 }}Mi
{{- else if not (mod $bytes 1024) -}}{{ div $bytes 1024 }}Ki
{{- else -}}{{ $bytes }}
{{- end -}}
{{- end -}}

{{- /* The cores of the driver. A whole number has a decimal point, as in the manifests. */ -}}
{{- define "fairway.cpu" -}}
{{- $cores := float64 .Values.driver.cpu -}}
{{- if eq $cores (floor $cores) -}}{{ printf "%.1f" $cores }}{{- else -}}{{ toRawJson $cores }}{{- end -}}
{{- end -}}
