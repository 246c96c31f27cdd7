package docs_test

import (
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/config"
)

// object is the part of a Kubernetes object that is looked at.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name, Namespace string }
	Data       map[string]string
	Spec       struct {
		Ports    []port
		Selector any
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     pod
		}
	}
}

type port struct {
	Name          string
	Port          int
	ContainerPort int `yaml:"containerPort"`
	TargetPort    any `yaml:"targetPort"`
}

type pod struct {
	Automount *bool `yaml:"automountServiceAccountToken"`
	Grace     int   `yaml:"terminationGracePeriodSeconds"`
	Security  struct {
		NonRoot bool `yaml:"runAsNonRoot"`
	} `yaml:"securityContext"`
	Containers []struct {
		Args     []string
		Ports    []port
		Security struct {
			Escalation   *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRoot bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities struct{ Drop []string }
		} `yaml:"securityContext"`
		Mounts []struct {
			Name string
			Path string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct{ Name string }
}

// manifests reads everything in deploy/kubernetes, by kind.
func manifests(t *testing.T) map[string]object {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "deploy/kubernetes/*.yaml"))
	require.NoError(t, err)
	all := map[string]object{}
	for _, path := range paths {
		name, err := filepath.Rel(root, path)
		require.NoError(t, err)
		for decoder := yaml.NewDecoder(strings.NewReader(read(t, name))); ; {
			var o object
			err := decoder.Decode(&o)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, name)
			require.NotEmpty(t, o.APIVersion, name)
			require.NotEmpty(t, o.Metadata.Name, name)
			require.NotContains(t, all, o.Kind)
			all[o.Kind] = o
			if o.Kind != "Namespace" {
				require.Equal(t, "onedoor", o.Metadata.Namespace, name)
			}
		}
	}
	require.Len(t, all, 7)
	return all
}

// TestKubernetesConfigurationFits: the broker takes it, and its ports are those of the
// deployment and of the service.
func TestKubernetesConfigurationFits(t *testing.T) {
	all := manifests(t)
	c, err := config.Parse([]byte(all["ConfigMap"].Data["onedoord.yaml"]))
	require.NoError(t, err)
	require.Equal(t, config.Production, c.Environment)

	contained := map[string]int{}
	for _, p := range all["Deployment"].Spec.Template.Spec.Containers[0].Ports {
		contained[p.Name] = p.ContainerPort
	}
	for name, address := range map[string]string{
		"grpc": c.Listeners.GRPC.Address, "rest": c.Listeners.REST.Address, "public": c.Listeners.Public.Address,
	} {
		number := contained[name]
		require.NotZero(t, number, name)
		require.Equal(t, "0.0.0.0:"+strconv.Itoa(number), address, name)
		require.True(t, slices.ContainsFunc(all["Service"].Spec.Ports, func(p port) bool {
			return p.Port == number && p.TargetPort == name
		}), name)
	}
	require.Greater(t, all["Deployment"].Spec.Template.Spec.Grace, 30+10, "drain and the pause before it")
}

// TestPodsAreHardened: no root, no token, nothing to write to, and every file that the
// configuration names lies below a mount.
func TestPodsAreHardened(t *testing.T) {
	all := manifests(t)
	named := regexp.MustCompile(`/(?:etc/onedoor|spiffe-workload-api)/[\w./-]+`).
		FindAllString(all["ConfigMap"].Data["onedoord.yaml"], -1)
	require.Len(t, named, 7)
	for _, kind := range []string{"Deployment", "Job"} {
		t.Run(kind, func(t *testing.T) {
			p := all[kind].Spec.Template.Spec
			require.NotNil(t, p.Automount)
			require.False(t, *p.Automount)
			require.True(t, p.Security.NonRoot)
			require.Len(t, p.Containers, 1)
			c := p.Containers[0]
			require.NotNil(t, c.Security.Escalation)
			require.False(t, *c.Security.Escalation)
			require.True(t, c.Security.ReadOnlyRoot)
			require.Equal(t, []string{"ALL"}, c.Security.Capabilities.Drop)
			for _, m := range c.Mounts {
				require.True(t, slices.ContainsFunc(p.Volumes, func(v struct{ Name string }) bool { return v.Name == m.Name }), m.Name)
			}
			if kind == "Job" {
				return // it needs no identity and no certificate
			}
			for _, path := range named {
				require.True(t, slices.ContainsFunc(c.Mounts, func(m struct {
					Name string
					Path string `yaml:"mountPath"`
				}) bool {
					return strings.HasPrefix(path, m.Path+"/")
				}), path)
			}
		})
	}
}

// TestTheImageIsBuiltFromThisTree: with its version of Go, and with every KMS.
func TestTheImageIsBuiltFromThisTree(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	require.Len(t, version, 2)
	dockerfile := read(t, "Dockerfile")
	require.Contains(t, dockerfile, "FROM golang:"+version[1]+" AS build")
	require.Contains(t, dockerfile, "CGO_ENABLED=0 go build -trimpath -tags kms_all ")
	require.Contains(t, dockerfile, "FROM scratch")
	require.Contains(t, dockerfile, "USER 65532:65532")
}
