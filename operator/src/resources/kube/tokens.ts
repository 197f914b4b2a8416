import { transient, waiting } from '../../domain/failure.ts';
import { Plaintext } from '../../domain/plaintext.ts';
import type { KubeAnswer, KubeClient } from './client.ts';

/** The shortest life that the API server gives a token, in seconds. It is used once, at once. */
const lifeSeconds = 600;

interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
}

/** A token of our own ServiceAccount for this audience alone: the API server itself does not accept it. */
export async function requestToken(client: KubeClient, audience: string): Promise<Plaintext> {
  const { namespace, name } = await readOwnServiceAccount(client);
  const answer = await client.send({
    verb: 'create',
    kind: 'TokenRequest',
    path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(name)}/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [audience], expirationSeconds: lifeSeconds },
    },
  });
  const { token } = (answer.body as { status?: { token?: unknown } } | undefined)?.status ?? {};
  if (answer.status >= 300 || typeof token !== 'string' || token === '') throw refused('a token of our ServiceAccount', answer);
  return new Plaintext(token);
}

/**
 * Who we are, in the words of the API server (SelfSubjectReview, stable since Kubernetes 1.28). It knows our
 * ServiceAccount whatever proves us: a Pod's token, a kubeconfig, an exec plugin; and nothing has to be configured.
 */
async function readOwnServiceAccount(client: KubeClient): Promise<ServiceAccount> {
  const answer = await client.send({
    verb: 'create',
    kind: 'SelfSubjectReview',
    path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
  });
  if (answer.status >= 300) throw refused('who we are', answer);
  const { username } = (answer.body as { status?: { userInfo?: { username?: unknown } } } | undefined)?.status?.userInfo ?? {};
  const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(String(username)) ?? [];
  if (namespace === undefined || name === undefined) {
    throw waiting('InternalError', 'the operator does not run as a ServiceAccount, and has no token to log in elsewhere with');
  }
  return { namespace, name };
}

/** 404: the ServiceAccount was deleted under us. */
function refused(what: string, { status }: KubeAnswer): Error {
  return transient('InternalError', `the API server does not say ${what} (${String(status)})`);
}
