// The Kubernetes provider of Pulumi, as its own module builds it.
package main

import (
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

func main() {
	// The schema only matters to generators of code; the programs here bring their types along.
	schema := []byte(`{"name":"kubernetes","version":"` + version.Version + `","resources":{}}`)
	provider.Serve("kubernetes", version.Version, schema, []byte("{}"))
}
