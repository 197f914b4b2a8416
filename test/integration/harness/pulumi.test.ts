import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigMap } from '@pulumi/kubernetes/core/v1/configMap.js';
import { describe, expect, it } from 'vitest';
import { useKube } from '../../harness/parts.ts';
import { Pulumi } from '../../harness/pulumi/pulumi.ts';

const kube = await useKube();
const pulumi = await Pulumi.open(kube);
const namespace = await kube.createNamespace('pulumi');

const read = async (name: string) => kube.request('GET', `/api/v1/namespaces/${namespace}/configmaps/${name}`);

describe('the engine of Pulumi', () => {
  it('runs a function of a test: creates, changes and destroys through the real provider', async () => {
    let text = 'one';
    const stack = await pulumi.stack('inline', async () => {
      new ConfigMap('inline', { metadata: { name: 'inline', namespace }, data: { text } });
    });
    await stack.up();
    text = 'two';
    await stack.up();
    expect((await read('inline')).body).toMatchObject({ data: { text: 'two' } });
    expect((await stack.refresh()).summary.resourceChanges).toEqual({ same: 2 });
    await stack.destroy();
    expect((await read('inline')).status).toBe(404);
  });

  it('runs a plain project folder through the language host', async () => {
    const folder = pulumi.project('plain');
    writeFileSync(join(folder, 'Pulumi.yaml'), 'name: plain\nruntime: { name: nodejs, options: { typescript: false } }\n');
    writeFileSync(join(folder, 'package.json'), '{ "type": "module", "main": "index.ts" }');
    writeFileSync(
      join(folder, 'index.ts'),
      `import { ConfigMap } from '@pulumi/kubernetes/core/v1/configMap.js';
const namespace: string = '${namespace}';
new ConfigMap('plain', { metadata: { name: 'plain', namespace }, data: { text: 'x' } });
`,
    );
    await pulumi.run(folder, ['stack', 'init', 'test']);
    await pulumi.run(folder, ['up', '--yes', '--skip-preview']);
    expect((await read('plain')).status).toBe(200);
    await pulumi.run(folder, ['destroy', '--yes', '--skip-preview']);
    expect((await read('plain')).status).toBe(404);
    expect(pulumi.stored()).toContain('plain');
  });
});
