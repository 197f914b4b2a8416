/** The ServiceAccount that the operator runs as in a cluster. */
export const operatorServiceAccountName = 'keywright-operator';
