// What the engine runs. The declarations in index.ts are what it makes the schema of.
const { Keywright, WorkloadKey } = require('@keywright/pulumi');

module.exports = { Keywright, WorkloadKey };
