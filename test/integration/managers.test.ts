import { afterAll, beforeAll, expect, test } from 'vitest';

import { lastManager, type FieldPath } from '../../operator/src/api/managers.ts';
import { annotations } from '../../operator/src/api/meta.ts';
import type { ObjectMeta } from '../../operator/src/api/meta.ts';
import { useKube } from '../harness/parts.ts';
import { manifest } from '../unit/api/cases.ts';

const kube = await useKube();
afterAll(() => kube.close());

let namespace = '';
beforeAll(async () => {
  namespace = await kube.createNamespace('managers');
});

const suspend: FieldPath = ['spec', 'suspend'];
const rotate: FieldPath = ['metadata', 'annotations', annotations.rotate];

test('an API server tells who created an ApiKey, who edited it and who annotated it, by their field managers', async () => {
  const body = manifest('ApiKey', {}, 'asked', namespace);
  await kube.kubectl(['apply', '--server-side', '--field-manager=argocd-controller', '-f', '-'], { input: body });
  const read = async (): Promise<unknown> => {
    const path = `/apis/keywright.dev/v1alpha1/namespaces/${namespace}/apikeys/asked`;
    return ((await kube.request('GET', path)).body as { metadata: ObjectMeta }).metadata.managedFields;
  };
  expect(lastManager(await read(), [['spec']])).toMatchObject({ manager: 'argocd-controller' });
  expect(lastManager(await read(), [suspend])).toMatchObject({ manager: 'argocd-controller' });
  const merge = (patch: object) => ['patch', 'ak', 'asked', '-n', namespace, '--type=merge', '-p', JSON.stringify(patch)];
  await kube.kubectl([...merge({ spec: { suspend: true } }), '--field-manager=ana']);
  await kube.kubectl(['annotate', 'ak', 'asked', '-n', namespace, `${annotations.rotate}=1`]);
  const fields = await read();
  const { manager, time } = lastManager(fields, [suspend]) ?? {};
  expect(manager).toBe('ana');
  expect(Math.abs(Date.now() - Date.parse(time ?? ''))).toBeLessThan(60_000);
  expect(lastManager(fields, [rotate])?.manager).toBe('kubectl-annotate');
  expect(lastManager(fields, [['spec', 'owner']])?.manager).toBe('argocd-controller');
});
