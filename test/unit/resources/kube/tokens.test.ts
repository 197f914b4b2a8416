import { describe, expect, it } from 'vitest';
import type { KubeAnswer, KubeRequest } from '../../../../operator/src/resources/kube/client.ts';
import { KubeFault } from '../../../../operator/src/resources/kube/fault.ts';
import { kubeLoginTokens } from '../../../../operator/src/resources/kube/tokens.ts';

const own = 'system:serviceaccount:keywright-system:keywright-operator';
const wanted = { namespace: 'keywright-system', serviceAccount: 'keywright-vault', audience: 'https://vault.example.com' };
const tokenOf = (claims: object) => `eyJ.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`;
const harmless = tokenOf({ iss: 'https://kubernetes.default.svc', aud: [wanted.audience] });

interface ApiServer {
  readonly token?: string;
  readonly says?: number | KubeFault;
  readonly issues?: number;
}

/** An API server that issues this token, and says this status to whoever presents it. */
function apiServer({ token = harmless, says = 401, issues = 201 }: ApiServer = {}) {
  const asked: string[] = [];
  const presented: string[] = [];
  const tokens = kubeLoginTokens({
    send: async ({ kind, path }: KubeRequest): Promise<KubeAnswer> => {
      asked.push(path);
      if (kind === 'SelfSubjectReview') return { status: 201, body: { status: { userInfo: { username: own } } } };
      return { status: issues, body: { status: { token } } };
    },
    statusAs: async (bearer) => {
      presented.push(bearer);
      if (says instanceof KubeFault) throw says;
      return says;
    },
  });
  return { tokens, asked, presented };
}

describe('a token for a login elsewhere', () => {
  it('is given when the API server says 401 to it, and tried anew each time', async () => {
    const { tokens, presented } = apiServer();
    expect((await tokens.request(wanted)).reveal()).toBe(harmless);
    await tokens.request(wanted);
    expect(presented).toEqual([harmless, harmless]);
  });

  it.each([200, 201, 302, 403, 404, 409])('is not given when the API server says %i to it', async (says) => {
    await expect(apiServer({ says }).tokens.request(wanted)).rejects.toMatchObject({
      kind: 'stalled',
      reason: 'InvalidSpec',
      message: expect.stringContaining('itself accepts tokens for the audience https://vault.example.com') as string,
    });
  });

  it.each([429, 500, 503, new KubeFault('timeout'), new KubeFault('refused'), new KubeFault('broken')])(
    'is not given while the API server gives no clear answer: %s',
    async (says) => {
      const { tokens } = apiServer({ says });
      await expect(tokens.request(wanted)).rejects.toMatchObject({ kind: 'transient', reason: 'InternalError' });
      await expect(tokens.isAccepted(harmless)).rejects.toMatchObject({ kind: 'transient' });
    },
  );

  it('is not given for the issuer as audience, whatever the API server says', async () => {
    const iss = 'https://oidc.example.com/id/1';
    const { tokens } = apiServer({ token: tokenOf({ iss, aud: ['https://vault.example.com', iss] }), says: 401 });
    await expect(tokens.request(wanted)).rejects.toMatchObject({ kind: 'stalled', reason: 'InvalidSpec' });
  });

  it('is not requested for the ServiceAccount of the operator', async () => {
    const { tokens, asked } = apiServer();
    const mine = tokens.request({ ...wanted, serviceAccount: 'keywright-operator' });
    await expect(mine).rejects.toMatchObject({ kind: 'stalled', reason: 'InvalidSpec' });
    expect(asked).toEqual(['/apis/authentication.k8s.io/v1/selfsubjectreviews']);
  });

  it('names the ServiceAccount that is not there', async () => {
    await expect(apiServer({ issues: 404 }).tokens.request(wanted)).rejects.toMatchObject({
      kind: 'waiting',
      message: 'there is no ServiceAccount keywright-vault in the namespace keywright-system',
    });
  });
});

it('knows a token of the API server, and takes one that it cannot read to the API server', async () => {
  const { tokens } = apiServer({ says: 201 });
  expect(await tokens.isAccepted('opaque')).toBe(true);
  expect(await apiServer().tokens.isAccepted('opaque')).toBe(false);
  expect(await apiServer().tokens.isAccepted(tokenOf({ iss: 'a', aud: 'a' }))).toBe(true);
});
