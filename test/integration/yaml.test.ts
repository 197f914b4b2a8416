import { afterAll, describe, expect, it } from 'vitest';
import { meaningOf } from '../builders/manifestmeaning.ts';
import { yamlInputs } from '../builders/yamlinputs.ts';
import { useKube } from '../harness/parts.ts';

const kube = await useKube();
afterAll(() => kube.close());

/** What kubectl and the API server make of a manifest, with their defaults; 'refused' = one of them refuses some of it. */
async function answerTo(text: string): Promise<unknown> {
  const args = ['create', '--dry-run=server', '--validate=strict', '--output=json', '--filename=-'];
  const { code, stdout, stderr } = await kube.kubectl(args, { input: text, allowFailure: true });
  if (code !== 0 && !stderr.includes('no objects passed')) return 'refused';
  const objects = stdout.trim() === '' ? [] : stdout.trim().split(/(?<=^\})\n(?=\{)/m);
  return objects.map((one) => JSON.parse(one) as unknown);
}

describe('a manifest for kubectl', () => {
  it.concurrent.each(yamlInputs)('means in a folder what it means there: $title', async ({ text, means }) => {
    const answer = await answerTo(text);
    if (means === 'refused') expect(answer).toBe('refused');
    else {
      expect(answer).toMatchObject(means);
      // All of it, not only what the case is about: the same objects with the same fields and defaults.
      expect(answer).toMatchObject(meaningOf(text) as object);
    }
  });
});
