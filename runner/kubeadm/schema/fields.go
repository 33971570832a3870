// Package schema has the fields of kubeadm's documents, v1beta2 to v1beta4, and makes a document as it was written ready for decoding. Sources: the
// packages k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta2 (Kubernetes 1.26), v1beta3 and v1beta4 (1.35).
package schema

import (
	"fmt"
	"maps"
)

// shape is what a field of a kubeadm document holds.
type shape int

const (
	text      shape = iota // a string; any scalar is taken as it is written
	scalar                 // a number or a boolean
	texts                  // a list of strings
	mapping                // of fields, or of anything where the fields are nil
	mappings               // a list of those
	Arguments              // a list of names and values since v1beta4, a mapping before
)

// Field is one field of a kubeadm document.
type Field struct {
	Shape  shape
	Fields Fields // of a mapping, or of each of a list
	// Since and until are the first and the last version v1betaN that has the field; 0 is no bound.
	Since, until int
	// Standard is kubeadm's own value where leaving it out is no loss for an older version.
	Standard any
}

// Fields are the fields of a mapping by their names.
type Fields map[string]Field

// ClusterFields are the fields of a ClusterConfiguration.
func ClusterFields() Fields {
	var (
		image   = Fields{"imageRepository": {}, "imageTag": {}}
		volumes = Field{Shape: mappings, Fields: Fields{"name": {}, "hostPath": {}, "mountPath": {}, "readOnly": {Shape: scalar}, "pathType": {}}}
		envs    = Field{Shape: mappings, Since: 4}

		component = Fields{"extraArgs": {Shape: Arguments}, "extraVolumes": volumes, "extraEnvs": envs}
	)
	return Fields{
		"etcd": {Shape: mapping, Fields: Fields{
			"local": {Shape: mapping, Fields: with(image, Fields{
				"dataDir": {}, "extraArgs": {Shape: Arguments}, "extraEnvs": envs, "serverCertSANs": {Shape: texts}, "peerCertSANs": {Shape: texts},
			})},
			"external": {Shape: mapping, Fields: Fields{
				"endpoints": {Shape: texts}, "httpEndpoints": {Shape: texts, Since: 4}, "caFile": {}, "certFile": {}, "keyFile": {},
			}},
		}},
		"networking": {Shape: mapping, Fields: Fields{"serviceSubnet": {}, "podSubnet": {}, "dnsDomain": {}}},
		"apiServer": {Shape: mapping, Fields: with(component, Fields{
			"certSANs": {Shape: texts}, "timeoutForControlPlane": {until: 3},
		})},
		"controllerManager":           {Shape: mapping, Fields: component},
		"scheduler":                   {Shape: mapping, Fields: component},
		"dns":                         {Shape: mapping, Fields: with(image, Fields{"disabled": {Shape: scalar, Since: 4}, "type": {until: 2}})},
		"proxy":                       {Shape: mapping, Since: 4, Fields: Fields{"disabled": {Shape: scalar}}},
		"featureGates":                {Shape: mapping},
		"kubernetesVersion":           {},
		"controlPlaneEndpoint":        {},
		"certificatesDir":             {},
		"imageRepository":             {},
		"clusterName":                 {},
		"encryptionAlgorithm":         {Since: 4, Standard: "RSA-2048"},
		"certificateValidityPeriod":   {Since: 4, Standard: "8760h0m0s"},
		"caCertificateValidityPeriod": {Since: 4, Standard: "87600h0m0s"},
		"useHyperKubeImage":           {Shape: scalar, until: 2},
	}
}

// InitFields are the fields of an InitConfiguration.
func InitFields() Fields {
	return with(nodeFields(), Fields{
		"bootstrapTokens": {Shape: mappings, Fields: Fields{
			"token": {}, "description": {}, "ttl": {}, "expires": {}, "usages": {Shape: texts}, "groups": {Shape: texts},
		}},
		"localAPIEndpoint": endpointField(),
		"certificateKey":   {},
	})
}

// JoinFields are the fields of a JoinConfiguration.
func JoinFields() Fields {
	return with(nodeFields(), Fields{
		"caCertPath": {},
		"discovery": {Shape: mapping, Fields: Fields{
			"bootstrapToken": {Shape: mapping, Fields: Fields{
				"token": {}, "apiServerEndpoint": {}, "caCertHashes": {Shape: texts}, "unsafeSkipCAVerification": {Shape: scalar},
			}},
			"file":              {Shape: mapping, Fields: Fields{"kubeConfigPath": {}}},
			"tlsBootstrapToken": {},
			"timeout":           {until: 3},
		}},
		"controlPlane": {Shape: mapping, Fields: Fields{"localAPIEndpoint": endpointField(), "certificateKey": {}}},
	})
}

func endpointField() Field {
	return Field{Shape: mapping, Fields: Fields{"advertiseAddress": {}, "bindPort": {Shape: scalar}}}
}

// nodeFields are the fields that init and join have in common.
func nodeFields() Fields {
	return Fields{
		"dryRun":     {Shape: scalar, Since: 4},
		"skipPhases": {Shape: texts, Since: 3},
		"patches":    {Shape: mapping, Since: 3, Fields: Fields{"directory": {}}},
		"nodeRegistration": {Shape: mapping, Fields: Fields{
			"name": {}, "criSocket": {}, "kubeletExtraArgs": {Shape: Arguments}, "ignorePreflightErrors": {Shape: texts},
			"taints":          {Shape: mappings, Fields: Fields{"key": {}, "value": {}, "effect": {}, "timeAdded": {}}},
			"imagePullPolicy": {Since: 3, Standard: "IfNotPresent"}, "imagePullSerial": {Shape: scalar, Since: 4, Standard: true},
		}},
		"timeouts": {Shape: mapping, Since: 4, Fields: Fields{
			"controlPlaneComponentHealthCheck": {Standard: "4m0s"}, "kubeletHealthCheck": {Standard: "4m0s"},
			"kubernetesAPICall": {Standard: "1m0s"}, "etcdAPICall": {Standard: "2m0s"}, "tlsBootstrap": {Standard: "5m0s"},
			"discovery": {Standard: "5m0s"}, "upgradeManifests": {Standard: "5m0s"},
		}},
	}
}

// with returns the fields of both.
func with(some, others Fields) Fields {
	both := maps.Clone(some)
	maps.Copy(both, others)
	return both
}

// APIVersion is the apiVersion of kubeadm's v1betaN.
func APIVersion(n int) string { return fmt.Sprintf("kubeadm.k8s.io/v1beta%d", n) }

// Limits of what is read: far above every configuration that is meant.
const (
	MaxBytes = 4 << 20 // as written, and with its aliases written out
	maxDepth = 100
)
