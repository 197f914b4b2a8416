import { stalled, transient, waiting } from '../../domain/failure.ts';
import { Plaintext } from '../../domain/plaintext.ts';
import type { LoginTokens, TokenWanted } from '../port.ts';
import type { KubeClient } from './client.ts';
import { failureOf, faultOf } from './fault.ts';

/** What of the client is needed here. */
type Api = Pick<KubeClient, 'send' | 'statusAs'>;

/** The shortest life that the API server gives a token, in seconds. It is used once, at once. */
const lifeSeconds = 600;
const selfReview = {
  verb: 'create',
  kind: 'SelfSubjectReview',
  path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
  body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
} as const;

/**
 * Tokens of the API server for logins elsewhere. The audience is the choice of whoever writes a KeyDestination, so each token
 * is tried on the API server before anybody else sees it. Nothing of that is kept: what the API server accepts is its own
 * configuration, which a restart may change.
 */
export function kubeLoginTokens(client: Api): LoginTokens {
  return {
    request: async (wanted) => {
      if ((await readOwnName(client)) === `system:serviceaccount:${wanted.namespace}:${wanted.serviceAccount}`) {
        throw stalled(
          'InvalidSpec',
          `${wanted.serviceAccount} is the ServiceAccount of the operator itself, whose tokens go nowhere`,
        );
      }
      const text = await requestToken(client, wanted);
      if (isForIssuer(text) || (await isAccepted(client, text))) {
        throw stalled(
          'InvalidSpec',
          `the API server of the cluster itself accepts tokens for the audience ${wanted.audience}, so none is sent anywhere; use an audience that is the Vault server's alone`,
        );
      }
      return new Plaintext(text);
    },
    isAccepted: async (text) => isForIssuer(text) || (await isAccepted(client, text)),
  };
}

async function requestToken(client: Api, { namespace, serviceAccount, audience }: TokenWanted): Promise<string> {
  const answer = await client.send({
    verb: 'create',
    kind: 'TokenRequest',
    path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(serviceAccount)}/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [audience], expirationSeconds: lifeSeconds },
    },
  });
  if (answer.status === 404) {
    throw waiting('InternalError', `there is no ServiceAccount ${serviceAccount} in the namespace ${namespace}`);
  }
  const { token } = (answer.body as { status?: { token?: unknown } } | undefined)?.status ?? {};
  if (answer.status >= 300 || typeof token !== 'string' || token === '') {
    throw transient('InternalError', `the API server gives no token of a ServiceAccount (${String(answer.status)})`);
  }
  return token;
}

/**
 * Who we are, in the words of the API server (SelfSubjectReview, stable since Kubernetes 1.28), whatever proves us: a Pod's
 * token, a kubeconfig, an exec plugin.
 */
async function readOwnName(client: Api): Promise<string> {
  const answer = await client.send(selfReview);
  const { username } = (answer.body as { status?: { userInfo?: { username?: unknown } } } | undefined)?.status?.userInfo ?? {};
  if (answer.status < 300 && typeof username === 'string' && username !== '') return username;
  throw transient('InternalError', `the API server does not say who we are (${String(answer.status)})`);
}

/**
 * Whether the token is for who issued it, which is the API server: its own audiences are its issuer unless it is told
 * otherwise (`--api-audiences` of kube-apiserver). No call, so no fault on the way can hide it.
 */
function isForIssuer(token: string): boolean {
  const { iss, aud } = claimsOf(token);
  return typeof iss === 'string' && [aud].flat().includes(iss);
}

function claimsOf(token: string): { readonly iss?: unknown; readonly aud?: unknown } {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? claims : {};
  } catch {
    // No JSON Web Token; what it is good for, the API server says.
    return {};
  }
}

/** Only 401 is a no. Whoever is told anything else by the API server has got in, or cannot know. */
async function isAccepted(client: Api, token: string): Promise<boolean> {
  let status: number;
  try {
    status = await client.statusAs(token, selfReview);
  } catch (error) {
    throw failureOf(faultOf(error), 'ask whether it accepts a token');
  }
  if (status === 401) return false;
  if (status < 500 && status !== 429) return true;
  throw transient('InternalError', `the API server does not say whether it accepts a token (${String(status)})`);
}
