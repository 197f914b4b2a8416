// The Kubernetes provider of Pulumi, as its own module builds it.
package main

import (
	"encoding/json"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/gen"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

func main() {
	// Programs in TypeScript bring their types along, and need no schema. One in YAML does: it has this one resource.
	const group = "kubernetes:yaml/v2:ConfigGroup"
	schema, err := json.Marshal(map[string]any{
		"name":      "kubernetes",
		"version":   version.Version,
		"resources": map[string]any{group: gen.ResourceOverlays[group]},
	})
	if err != nil {
		panic(err)
	}
	provider.Serve("kubernetes", version.Version, schema, []byte("{}"))
}
