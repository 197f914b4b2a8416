//go:build tools

// Package tools pins the program that the test harness builds.
package tools

import _ "helm.sh/helm/v4/cmd/helm"
