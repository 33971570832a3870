package kubeadm

import "maps"

// shape is what a field of a kubeadm document holds.
type shape int

const (
	text      shape = iota // a string; any scalar is taken as it is written
	scalar                 // a number or a boolean
	texts                  // a list of strings
	mapping                // of fields, or of anything where the fields are nil
	mappings               // a list of those
	arguments              // a list of names and values since v1beta4, a mapping before
)

// field is one field of a kubeadm document.
type field struct {
	shape  shape
	fields fields // of a mapping, or of each of a list
	// since and until are the first and the last version v1betaN that has the field; 0 is no bound.
	since, until int
	// standard is kubeadm's own value where leaving it out is no loss for an older version.
	standard any
}

type fields map[string]field

// kubeadmFields are the fields of kubeadm's own documents, v1beta2 to v1beta4. Sources: the packages
// k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta2 (Kubernetes 1.26), v1beta3 and v1beta4 (1.35).
func kubeadmFields() map[string]fields {
	return map[string]fields{ClusterKind: clusterFields(), InitKind: initFields(), JoinKind: joinFields()}
}

func clusterFields() fields {
	var (
		image   = fields{"imageRepository": {}, "imageTag": {}}
		volumes = field{shape: mappings, fields: fields{"name": {}, "hostPath": {}, "mountPath": {}, "readOnly": {shape: scalar}, "pathType": {}}}
		envs    = field{shape: mappings, since: 4}

		component = fields{"extraArgs": {shape: arguments}, "extraVolumes": volumes, "extraEnvs": envs}
	)
	return fields{
		"etcd": {shape: mapping, fields: fields{
			"local": {shape: mapping, fields: with(image, fields{
				"dataDir": {}, "extraArgs": {shape: arguments}, "extraEnvs": envs, "serverCertSANs": {shape: texts}, "peerCertSANs": {shape: texts},
			})},
			"external": {shape: mapping, fields: fields{
				"endpoints": {shape: texts}, "httpEndpoints": {shape: texts, since: 4}, "caFile": {}, "certFile": {}, "keyFile": {},
			}},
		}},
		"networking": {shape: mapping, fields: fields{"serviceSubnet": {}, "podSubnet": {}, "dnsDomain": {}}},
		"apiServer": {shape: mapping, fields: with(component, fields{
			"certSANs": {shape: texts}, "timeoutForControlPlane": {until: 3},
		})},
		"controllerManager":           {shape: mapping, fields: component},
		"scheduler":                   {shape: mapping, fields: component},
		"dns":                         {shape: mapping, fields: with(image, fields{"disabled": {shape: scalar, since: 4}, "type": {until: 2}})},
		"proxy":                       {shape: mapping, since: 4, fields: fields{"disabled": {shape: scalar}}},
		"featureGates":                {shape: mapping},
		"kubernetesVersion":           {},
		"controlPlaneEndpoint":        {},
		"certificatesDir":             {},
		"imageRepository":             {},
		"clusterName":                 {},
		"encryptionAlgorithm":         {since: 4, standard: "RSA-2048"},
		"certificateValidityPeriod":   {since: 4, standard: "8760h0m0s"},
		"caCertificateValidityPeriod": {since: 4, standard: "87600h0m0s"},
		"useHyperKubeImage":           {shape: scalar, until: 2},
	}
}

func initFields() fields {
	return with(nodeFields(), fields{
		"bootstrapTokens": {shape: mappings, fields: fields{
			"token": {}, "description": {}, "ttl": {}, "expires": {}, "usages": {shape: texts}, "groups": {shape: texts},
		}},
		"localAPIEndpoint": endpointField(),
		"certificateKey":   {},
	})
}

func joinFields() fields {
	return with(nodeFields(), fields{
		"caCertPath": {},
		"discovery": {shape: mapping, fields: fields{
			"bootstrapToken": {shape: mapping, fields: fields{
				"token": {}, "apiServerEndpoint": {}, "caCertHashes": {shape: texts}, "unsafeSkipCAVerification": {shape: scalar},
			}},
			"file":              {shape: mapping, fields: fields{"kubeConfigPath": {}}},
			"tlsBootstrapToken": {},
			"timeout":           {until: 3},
		}},
		"controlPlane": {shape: mapping, fields: fields{"localAPIEndpoint": endpointField(), "certificateKey": {}}},
	})
}

func endpointField() field {
	return field{shape: mapping, fields: fields{"advertiseAddress": {}, "bindPort": {shape: scalar}}}
}

// nodeFields are the fields that init and join have in common.
func nodeFields() fields {
	return fields{
		"dryRun":     {shape: scalar, since: 4},
		"skipPhases": {shape: texts, since: 3},
		"patches":    {shape: mapping, since: 3, fields: fields{"directory": {}}},
		"nodeRegistration": {shape: mapping, fields: fields{
			"name": {}, "criSocket": {}, "kubeletExtraArgs": {shape: arguments}, "ignorePreflightErrors": {shape: texts},
			"taints":          {shape: mappings, fields: fields{"key": {}, "value": {}, "effect": {}, "timeAdded": {}}},
			"imagePullPolicy": {since: 3, standard: "IfNotPresent"}, "imagePullSerial": {shape: scalar, since: 4, standard: true},
		}},
		"timeouts": {shape: mapping, since: 4, fields: fields{
			"controlPlaneComponentHealthCheck": {standard: "4m0s"}, "kubeletHealthCheck": {standard: "4m0s"},
			"kubernetesAPICall": {standard: "1m0s"}, "etcdAPICall": {standard: "2m0s"}, "tlsBootstrap": {standard: "5m0s"},
			"discovery": {standard: "5m0s"}, "upgradeManifests": {standard: "5m0s"},
		}},
	}
}

// with returns the fields of both.
func with(some, others fields) fields {
	both := maps.Clone(some)
	maps.Copy(both, others)
	return both
}
