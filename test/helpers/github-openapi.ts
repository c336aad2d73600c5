import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import Ajv, {type ValidateFunction} from 'ajv';
import addFormats from 'ajv-formats';

interface Operation {
  readonly requestBody?: {readonly content?: Readonly<Record<string, object>>};
  readonly responses: Readonly<Record<string, {readonly content?: Readonly<Record<string, object>>}>>;
}

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {readonly examples: Readonly<Record<string, {readonly value: unknown}>>};
}

/** GitHub's own description of its REST API. */
export interface GitHubDescription {
  /** The value of one of its examples, to be changed at will. */
  example(name: string): Record<string, unknown>;
  /** What is wrong with an answer, or with the body of a request; null where all is right. */
  problemOf(
    route: {readonly method: string; readonly path: string},
    part: {readonly status: number} | 'request',
    value: unknown,
  ): string | null;
}

/** Reads 13 MB: once for a file of tests. */
export function readGitHubDescription(): GitHubDescription {
  const path = fileURLToPath(import.meta.resolve('@octokit/openapi/generated/api.github.com.json'));
  const description = JSON.parse(readFileSync(path, 'utf8')) as Description;
  const ajv = new Ajv({strict: false, validateSchema: false, allErrors: true});
  addFormats(ajv);
  // GitHub's own: `owner/name`.
  ajv.addFormat('repo.nwo', /^[^/]+\/[^/]+$/);
  spellOutNull(description);
  ajv.addSchema(description, 'github');
  const compiled = new Map<string, ValidateFunction>();
  const validator = (pointer: string): ValidateFunction => {
    const known = compiled.get(pointer) ?? ajv.compile({$ref: `github#${pointer}`});
    compiled.set(pointer, known);
    return known;
  };
  const escaped = (text: string) => text.replaceAll('~', '~0').replaceAll('/', '~1');

  return {
    example(name) {
      const found = description.components.examples[name];
      if (found === undefined) throw new Error(`GitHub's description has no example ${name}`);
      return structuredClone(found.value) as Record<string, unknown>;
    },
    problemOf({method, path}, part, value) {
      const operation = description.paths[path]?.[method.toLowerCase()];
      if (operation === undefined) return `no ${method} ${path} in GitHub's description`;
      const status = part === 'request' ? null : String(part.status);
      const content = status === null ? operation.requestBody?.content : operation.responses[status]?.content;
      if (status !== null && operation.responses[status] === undefined)
        return `${method} ${path} answers no ${status}`;
      if (content?.['application/json'] === undefined) return null;
      const where = status === null ? '/requestBody' : `/responses/${status}`;
      const pointer = `/paths/${escaped(path)}/${method.toLowerCase()}${where}/content/application~1json/schema`;
      const isValid = validator(pointer);
      if (isValid(value)) return null;
      return `${method} ${path} ${status ?? 'request'}: ${ajv.errorsText(isValid.errors?.slice(0, 5) ?? [])}`;
    },
  };
}

/** OpenAPI 3.0 allows `nullable` beside `allOf` and its like, JSON Schema beside `type` alone. */
function spellOutNull(node: unknown): void {
  if (typeof node !== 'object' || node === null) return;
  for (const child of Object.values(node)) spellOutNull(child);
  if (!('nullable' in node) || node.nullable !== true || 'type' in node) return;
  const {nullable: _nullable, ...rest} = node;
  for (const name of Object.keys(node)) delete (node as Record<string, unknown>)[name];
  Object.assign(node, {anyOf: [rest, {type: 'null'}]});
}
