import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectAdmission, isContinuation } from '../../operator/src/api/admission/inspect.ts';
import { admissionPolicyName } from '../../operator/src/api/admission/policy.ts';
import { ownControlPlane } from '../harness/parts.ts';
import { applyAll } from '../harness/permissions.ts';
import { appliedPair, livePair, spelledOut, weakenings, type Edit, type Editable, type Pair } from '../unit/api/weakenings.ts';

const plane = await ownControlPlane({ controllers: false });
const { kube } = plane;
const root = '/apis/admissionregistration.k8s.io/v1';
const paths = {
  policy: `${root}/validatingadmissionpolicies/${admissionPolicyName}`,
  binding: `${root}/validatingadmissionpolicybindings/${admissionPolicyName}`,
} as const;
const kinds = ['policy', 'binding'] as const;

beforeAll(async () => {
  await applyAll(kube, Object.values(appliedPair()));
});

afterAll(async () => {
  await kube.close();
  await plane.stop();
});

async function read(which: keyof Pair): Promise<Editable | undefined> {
  const { status, body } = await kube.request('GET', paths[which]);
  return status === 200 ? (body as Editable) : undefined;
}

const inspect = async () => inspectAdmission(await read('policy'), await read('binding'));

/** Replaces the spec and the labels by those of the edited pair; what the API server sets stays. */
async function put({ edit }: Pick<Edit, 'edit'>): Promise<void> {
  const pair = appliedPair();
  edit(pair);
  for (const which of kinds) {
    const live = await read(which);
    const body = { ...live, spec: pair[which].spec, metadata: { ...pair[which].metadata, ...resourceVersion(live) } };
    const answer = await kube.request('PUT', paths[which], { body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  }
}

const resourceVersion = (live: Editable | undefined) => ({ resourceVersion: live?.metadata['resourceVersion'] });
const unedited = { edit: () => undefined };

describe('the admission policy on the API server', () => {
  it('is in force when both objects are applied as generated', async () => {
    expect(await inspect()).toMatchObject({ kind: 'inForce' });
    for (const which of kinds) expect((await read(which))?.spec).toEqual(livePair()[which].spec);
  });

  it.each(spelledOut)('is in force with $title', async (edit) => {
    await put(edit);
    expect(await inspect()).toMatchObject({ kind: 'inForce' });
  });

  // The API server accepts each of these objects, so only their content tells them from ours.
  it.each(weakenings)('is not in force with $title', async (edit) => {
    await put(edit);
    expect(await inspect()).toEqual({ kind: 'notInForce', why: expect.stringContaining(edit.says) as string });
    await put(unedited);
    expect(await inspect()).toMatchObject({ kind: 'inForce' });
  });

  it.each(kinds)('has another identity after each edit of the %s, also when the edit was undone', async (which) => {
    const identities = new Set<string>();
    const note = async () => {
      const seen = await inspect();
      if (seen.kind === 'inForce') identities.add(seen.identity);
    };
    await put(unedited);
    await note();
    await put(unedited);
    await note();
    expect(identities.size).toBe(1);
    const weakening = weakenings.find(({ title }) =>
      which === 'policy' ? title === 'failurePolicy Ignore' : title === 'a binding that only audits',
    );
    await put(weakening ?? unedited);
    await put(unedited);
    await note();
    expect(identities.size).toBe(2);
    const [before = '', after = ''] = identities;
    expect([isContinuation(before, before), isContinuation(before, after)]).toEqual([true, false]);
  });

  it.each(kinds)('has a generation of its %s that each write of the spec raises by one, and nothing else', async (which) => {
    const generation = async () => Number((await read(which))?.metadata['generation']);
    await put(unedited);
    const first = await generation();
    const contentType = 'application/merge-patch+json';
    const patch = async (body: object) =>
      expect((await kube.request('PATCH', paths[which], { body, contentType })).status).toBe(200);
    await patch({ metadata: { labels: { team: 'a' }, annotations: { note: 'b' }, finalizers: [] } });
    await patch({ metadata: { generation: first + 7 } });
    expect(await generation()).toBe(first);
    await patch(which === 'policy' ? { spec: { failurePolicy: 'Ignore' } } : { spec: { validationActions: ['Audit'] } });
    expect(await generation()).toBe(first + 1);
    await put({ edit: (pair) => Object.assign(pair[which].metadata, { labels: { team: 'c' } }) });
    expect(await generation()).toBe(first + 2);
  });

  it.each(kinds)('has another identity after the %s was made anew, and is not in force without it', async (which) => {
    const before = await inspect();
    await kube.request('DELETE', paths[which]);
    expect(await inspect()).toEqual({ kind: 'notInForce', why: expect.stringContaining('does not exist') as string });
    await applyAll(kube, [appliedPair()[which]]);
    const after = await inspect();
    expect([before.kind, after.kind]).toEqual(['inForce', 'inForce']);
    expect(after).not.toEqual(before);
  });

  it.each(kinds)('is not in force while its %s is being deleted', async (which) => {
    const contentType = 'application/merge-patch+json';
    const finalizers = (body: unknown) =>
      kube.request('PATCH', paths[which], { body: { metadata: { finalizers: body } }, contentType });
    await finalizers(['example.com/hold']);
    await kube.request('DELETE', paths[which]);
    expect(await inspect()).toEqual({ kind: 'notInForce', why: expect.stringContaining('is being deleted') as string });
    await finalizers(null);
    await applyAll(kube, [appliedPair()[which]]);
    expect(await inspect()).toMatchObject({ kind: 'inForce' });
  });
});
