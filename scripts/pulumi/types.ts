/** The parts of a JSON Schema (draft 7) that zod writes for our kinds. */
export interface SchemaNode {
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly (string | number)[];
  readonly const?: string | number | boolean;
  readonly anyOf?: readonly SchemaNode[];
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: SchemaNode | boolean;
}

/** `input`: every value may be a `pulumi.Input`; `output`: what a resource gives back. */
export type Mode = 'input' | 'output';

/**
 * The TypeScript declarations of a schema: interfaces by the place of a shape, enumerations as Pulumi's own packages have them,
 * a constant object and the type of its values.
 */
export class Declarations {
  readonly #mode: Mode;
  readonly #texts: string[] = [];
  readonly #enums: Map<string, string> | undefined;

  /**
   * `enums` is shared by all that is written to one file, so that none is declared twice. Without it words are texts: Pulumi
   * makes the schema of a component from declarations, in which it does not recognise such constants.
   */
  constructor(mode: Mode, enums?: Map<string, string>) {
    this.#mode = mode;
    this.#enums = enums;
  }

  /** Declares the interface of an object schema under this name, and what it refers to. */
  declare(name: string, node: SchemaNode, description: string): void {
    const required = new Set(node.required ?? []);
    const members = Object.entries(node.properties ?? {}).map(([member, child]) => {
      const type = this.#typeOf(child, `${withoutEnding(name)}${pascal(member)}`);
      const isRequired = required.has(member);
      const own = this.#mode === 'input' ? `pulumi.Input<${type}>` : type;
      return `${comment(child.description, '  ')}  ${this.#mode === 'output' ? 'readonly ' : ''}${member}${isRequired ? '' : '?'}: ${own}${isRequired ? '' : ' | undefined'};`;
    });
    this.#texts.push(`${comment(description, '')}export interface ${name} {\n${members.join('\n')}\n}\n`);
  }

  /** All declarations so far, what is referred to first. */
  text(): string {
    return this.#texts.join('\n');
  }

  #typeOf(node: SchemaNode, name: string): string {
    if (node.anyOf !== undefined) return node.anyOf.map((branch) => this.#typeOf(branch, name)).join(' | ');
    // A wrong truth value is told by the validation; `true` alone has no form in other languages.
    if (typeof node.const === 'boolean') return 'boolean';
    if (node.const !== undefined) return JSON.stringify(node.const);
    if (node.enum !== undefined && this.#mode === 'output') return node.enum.map((word) => JSON.stringify(word)).join(' | ');
    if (node.enum?.every((word) => typeof word === 'string') === true) return this.#enumOf(node.enum, name, node.description);
    switch (node.type) {
      case 'integer':
        return 'number';
      case 'string':
      case 'number':
      case 'boolean':
        return node.type;
      case 'array': {
        const item = this.#typeOf(node.items ?? {}, name);
        return this.#mode === 'input' ? `pulumi.Input<${item}>[]` : `readonly ${bracketed(item)}[]`;
      }
      case 'object':
        return this.#objectOf(node, name);
      default:
        return this.#anything();
    }
  }

  /** Pulumi knows any value by this name alone. */
  #anything(): string {
    return this.#enums === undefined ? 'any' : 'unknown';
  }

  #objectOf(node: SchemaNode, name: string): string {
    const { properties, additionalProperties } = node;
    if (properties !== undefined && Object.keys(properties).length > 0) {
      const own = this.#mode === 'input' ? `${name}Args` : name;
      this.declare(own, node, node.description ?? '');
      return own;
    }
    if (typeof additionalProperties === 'object') {
      const value = this.#typeOf(additionalProperties, name);
      return `{ ${this.#mode === 'output' ? 'readonly ' : ''}[name: string]: ${this.#mode === 'input' ? `pulumi.Input<${value}>` : value} }`;
    }
    return `{ [name: string]: ${this.#anything()} }`;
  }

  #enumOf(words: readonly unknown[], name: string, description: string | undefined): string {
    if (this.#enums === undefined) return 'string';
    const members = words.map((word) => `  ${memberName(String(word))}: '${String(word)}',`);
    this.#enums.set(
      name,
      `${comment(description, '')}export const ${name} = {\n${members.join('\n')}\n} as const;\n${comment(description, '')}export type ${name} = (typeof ${name})[keyof typeof ${name}];\n`,
    );
    return name;
  }
}

/** A doc comment; nothing where there is nothing to say. */
export function comment(text: string | undefined, indent: string): string {
  return text === undefined || text === '' ? '' : `${indent}/** ${text.replaceAll('*/', '*\\/')} */\n`;
}

const withoutEnding = (name: string): string => name.replace(/(Spec)?Args$/, '').replace(/Spec$/, '');
const pascal = (name: string): string => `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
const bracketed = (type: string): string => (type.includes(' ') ? `(${type})` : type);
const memberName = (word: string): string => (/^[A-Za-z_][A-Za-z0-9_]*$/.test(word) ? word : `'${word}'`);
