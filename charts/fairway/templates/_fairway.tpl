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
{{- if and (not .Values.store) (or .Values.storeIdentity .Values.storeSecret .Values.restoreFrom) -}}
{{- fail "credentials or a copy in object storage are named, and the store is on a volume: set `store` too" -}}
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

{{- /* A number with a decimal point, also if it is a whole one, as the manifests have it. */ -}}
{{- define "fairway.decimal" -}}
{{- $number := float64 . -}}
{{- if eq $number (floor $number) -}}{{ printf "%.1f" $number }}{{- else -}}{{ toRawJson $number }}{{- end -}}
{{- end -}}

{{- /* The bytes of object storage that the volume may hold as well: half of it. */ -}}
{{- define "fairway.cache" -}}
{{- if .Values.store -}}{{ max (div (include "fairway.size" . | int64) 2) 1048576 }}{{- else -}}5368709120{{- end -}}
{{- end -}}

{{- /* The cloud: the one that is set, or the one that the version of the cluster names. */ -}}
{{- define "fairway.cloud" -}}
{{- if .Values.cloud -}}{{ .Values.cloud }}
{{- else if contains "-gke." .Capabilities.KubeVersion.Version -}}gke
{{- else if contains "-eks-" .Capabilities.KubeVersion.Version -}}eks
{{- end -}}
{{- end -}}
