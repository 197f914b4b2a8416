import { describe, expect, it } from 'vitest';
import { meaningOf } from '../../../builders/manifestmeaning.ts';
import { yamlInputs } from '../../../builders/yamlinputs.ts';

describe('a manifest', () => {
  // test/integration/yaml.test.ts asks kubectl and an API server the same.
  it.each(yamlInputs)('means what it means for kubectl: $title', ({ text, means }) => {
    if (means === 'refused') expect(meaningOf(text)).toBe('refused');
    else expect(meaningOf(text)).toMatchObject(means);
  });
});
