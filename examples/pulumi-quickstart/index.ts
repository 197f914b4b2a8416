// A key beside the workload that uses it. `pulumi up` ends when the key is Ready and the workload has it.
import { WorkloadKey } from '@keywright/pulumi';
import { Deployment } from '@pulumi/kubernetes/apps/v1/index.js';
import { Config } from '@pulumi/pulumi';

const config = new Config();
const namespace = config.require('namespace');
const labels = { app: 'reports' };

// The three lines of the key: the catalog and the owner are the platform team's (examples/first-key).
const key = new WorkloadKey('reports-api-key', {
  namespace,
  spec: {
    displayName: 'Reports',
    catalog: 'shop',
    owner: 'payments-team',
    contactEmail: 'payments@example.com',
    accessType: 'Service',
    scopes: config.requireObject<string[]>('scopes'),
  },
});

new Deployment('reports', {
  metadata: { name: 'reports', namespace },
  spec: {
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: {
        volumes: [key.volume],
        containers: [{ name: 'reports', image: 'nginx:1.29', volumeMounts: [key.volumeMount], env: key.env }],
      },
    },
  },
});

/** References only: the value is in the Secret, and never in the state of a stack. */
export const secretName = key.secretName;
export const apiKey = key.apiKeyName;
