import type { ApiKeySpecArgs } from '@keywright/pulumi';

/** The specification of an ApiKey in a Pulumi program, with nothing but what is required. */
export const apiKeySpec: ApiKeySpecArgs = {
  displayName: 'Billing',
  catalog: 'default',
  owner: 'team',
  contactEmail: 'team@example.com',
  accessType: 'Integrations',
  deliverTo: [{ name: 'local', secret: { name: 'billing' } }],
};
