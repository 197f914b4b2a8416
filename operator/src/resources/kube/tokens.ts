import { stalled, transient, waiting } from '../../domain/failure.ts';
import { Plaintext } from '../../domain/plaintext.ts';
import type { LoginTokens, TokenWanted } from '../port.ts';
import type { KubeClient } from './client.ts';
import { failureOf, faultOf } from './fault.ts';

/** The part of the client that this module needs. */
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
 * Tokens of the API server for logins elsewhere. The author of a KeyDestination chooses the audience, so each token is first
 * tried at the API server. The result is not cached: it depends on the API server's configuration, which a restart may change.
 */
export function kubeLoginTokens(client: Api): LoginTokens {
  return {
    request: async (wanted) => {
      if ((await readOwnName(client)) === `system:serviceaccount:${wanted.namespace}:${wanted.serviceAccount}`) {
        throw stalled(
          'InvalidSpec',
          `${wanted.serviceAccount} is the ServiceAccount of the operator itself, whose tokens are never sent anywhere`,
        );
      }
      const text = await requestToken(client, wanted);
      if (isForIssuer(text) || (await isAccepted(client, text))) {
        throw stalled(
          'InvalidSpec',
          `the API server of the cluster itself accepts tokens for the audience ${wanted.audience}, so the operator sends none; use an audience that only the Vault server accepts`,
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
    throw transient('InternalError', `the API server returned no ServiceAccount token (${String(answer.status)})`);
  }
  return token;
}

/**
 * Our own user name according to the API server (SelfSubjectReview, stable since Kubernetes 1.28), however we log in: with a
 * Pod's token, a kubeconfig, an exec plugin.
 */
async function readOwnName(client: Api): Promise<string> {
  const answer = await client.send(selfReview);
  const { username } = (answer.body as { status?: { userInfo?: { username?: unknown } } } | undefined)?.status?.userInfo ?? {};
  if (answer.status < 300 && typeof username === 'string' && username !== '') return username;
  throw transient('InternalError', `the API server did not return our user name (${String(answer.status)})`);
}

/**
 * Whether the audience of the token is its issuer, the API server: the issuer is the API server's own audience unless configured
 * otherwise (`--api-audiences` of kube-apiserver). Needs no call, so no network fault can hide it.
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
    // Not a JSON Web Token: the API server decides.
    return {};
  }
}

/** Only 401 is a no. With any other answer, the API server has accepted the token, or gave no clear answer. */
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
