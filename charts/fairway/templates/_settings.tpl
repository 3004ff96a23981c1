{{- /* Made by `make chart` from the manifests in Python. Do not edit. */ -}}
{{- define "fairway.install" -}}
{"uid":{{ include "fairway.uid" . | toRawJson }},"namespace":{{ .Release.Namespace | toRawJson }},"version":{{ .Chart.AppVersion | toRawJson }},"image":{{ include "fairway.image" . | toRawJson }},"driver":{"cpu":{{ include "fairway.decimal" .Values.driver.cpu }},"memory":{{ .Values.driver.memory | toRawJson }}},"pods":{"most":{{ .Values.stepPods.most | toRawJson }},"kept":{{ include "fairway.decimal" .Values.stepPods.kept }}},"pull_secrets":{{ .Values.pullSecrets | toRawJson }},"registry":{{ .Values.registry | toRawJson }},"owner":"","user":{{ .Values.user | toRawJson }},"pod_labels":{{ .Values.podLabels | toRawJson }},"trust":{{ .Values.trust | toRawJson }},"store":{{ .Values.store | toRawJson }},"cache":{{ include "fairway.cache" . }},"cloud":{{ include "fairway.cloud" . | toRawJson }}}
{{- end -}}
{{- define "fairway.settings" -}}
{"install":{{ include "fairway.install" . }},"size":{{ include "fairway.size" . }},"storage_class":{{ .Values.storageClass | toRawJson }},"access":{{ .Values.access | toRawJson }},"ephemeral":{{ .Values.ephemeral | toRawJson }},"source":{"registry":"","base":"","python":"","insecure":false},"store_identity":{{ .Values.storeIdentity | toRawJson }},"store_secret":{{ .Values.storeSecret | toRawJson }}}
{{- end -}}
