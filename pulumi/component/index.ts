// Read by Pulumi for the schema of the package, never run: see index.js.
export { Keywright, WorkloadKey } from '@keywright/pulumi';
