import test from 'ava';
import type {Node} from 'oxc-parser';
import {memberName, parseSource, readProduct, type SourceFile, visit} from '../helpers/source-tree.ts';

/** What a node does that must not happen outside of `places`; null where it does nothing of the kind. */
interface Absence {
  readonly title: string;
  readonly find: (file: SourceFile) => readonly Finding[];
  /** Files where it belongs. */
  readonly places: readonly RegExp[];
  /** Files where it is borne, each with the reason. */
  readonly exceptions?: Readonly<Record<string, string>>;
  /** A text in which it is found, so that the check can fail. */
  readonly example: string;
  readonly examplePath?: string;
}

interface Finding {
  readonly what: string;
  readonly node: {readonly start: number};
}

const platform = /^runtime\/platform\//;
const commandLine = /^cli\//;

const clockMembers = new Set([
  'Date.now',
  'performance.now',
  'Bun.sleep',
  'Bun.nanoseconds',
  'process.hrtime',
]);
const clockCalls = new Set(['setTimeout', 'setInterval', 'setImmediate']);
const environments = new Set(['process.env', 'Bun.env']);
const fileModules =
  /^(?:node:(?:fs|fs\/promises|child_process|net|tls|dgram|cluster|worker_threads|http|https|http2|os)|bun:sqlite|bun:ffi|bun)$/;
const doors = new Set([
  'Bun.spawn',
  'Bun.spawnSync',
  'Bun.file',
  'Bun.write',
  'Bun.serve',
  'Bun.listen',
  'Bun.connect',
  'process.kill',
]);
const mutators = new Set([
  'set',
  'add',
  'delete',
  'clear',
  'push',
  'pop',
  'shift',
  'unshift',
  'splice',
  'sort',
  'reverse',
  'fill',
]);

const absences: readonly Absence[] = [
  {
    title: 'the clock and timers are asked through runtime/platform',
    places: [platform],
    find: byNode((node) => {
      const member = memberName(node);
      if (member !== null && clockMembers.has(member)) return member;
      if (
        node.type === 'CallExpression' &&
        node.callee.type === 'Identifier' &&
        clockCalls.has(node.callee.name)
      )
        return node.callee.name;
      const isDate =
        node.type === 'NewExpression' && node.callee.type === 'Identifier' && node.callee.name === 'Date';
      return isDate && node.arguments.length === 0 ? 'new Date()' : null;
    }),
    example: 'const later = () => setTimeout(() => new Date(), 5);',
  },
  {
    title: 'the environment of the process is read in the main files',
    places: [/^(?:cli|cli\/action|runtime)\/main\.ts$/],
    exceptions: {
      'runtime/platform/script-parser.ts':
        "the parser's own loader takes the path of its binding from nowhere else",
      'runtime/platform/call-environment.ts': 'shows each call of a script variables of its own',
    },
    find: byNode((node) => {
      const member = memberName(node);
      return member !== null && environments.has(member) ? member : null;
    }),
    example: "const home = process['env'].HOME;",
  },
  {
    title: 'HTTP status numbers stand in the catalogue and in the API',
    places: [/^schemas\/errors\.ts$/, /^api\//],
    find: byNode((node) => {
      const number = statusNumber(node);
      return number === null ? null : `status ${number}`;
    }),
    example: 'response.statusCode = 204;',
  },
  {
    title: 'no module holds mutable state',
    places: [],
    find: mutableState,
    example: 'const known = new Map(); export class A { static last = 1; }',
  },
  {
    title: 'pure files never wait',
    places: [
      /^(?!reconciler\/(?:desired|plan|status|outcome|deletion|branch-view|observation|digests|idle|branch-key|branch-record|explanation)\.ts$)/,
    ],
    find: byNode((node) => {
      if (node.type === 'AwaitExpression') return 'await';
      if (node.type === 'ForOfStatement' && node.await) return 'for await';
      if ('async' in node && node.async === true) return 'async';
      return node.type === 'Identifier' && node.name === 'Promise' ? 'Promise' : null;
    }),
    example: 'export async function plan() {}',
    examplePath: 'reconciler/plan.ts',
  },
  {
    title: 'no code asks whether it is under test',
    places: [],
    find: byNode((node) => {
      const name = node.type === 'Identifier' ? node.name : node.type === 'Literal' ? node.value : null;
      const asks =
        typeof name === 'string' &&
        /^(?:NODE_ENV|AVA.*|CI|BRANCHTAB_TEST.*|VITEST.*|JEST.*|bun:test|isTest)$/.test(name);
      return asks ? String(name) : null;
    }),
    example: "if (environment['NODE_ENV'] === 'test') run();",
  },
  {
    title: 'files, processes and sockets are reached through runtime/platform and the command line',
    places: [platform, commandLine],
    exceptions: {
      'schemas/generate.ts': 'a program of the build, which writes the generated schemas',
      'runtime/exec/script-names.ts': 'hands these modules to scripts as their globals, and uses none itself',
      'api/runtime-client.ts': 'streams a body over node:http, which is the wire itself',
    },
    find: (file) => [
      ...file.imports
        .filter(({target, typesOnly}) => !typesOnly && fileModules.test(target))
        .map(({target, line}) => ({what: `imports ${target}`, node: {start: -line}})),
      ...byNode((node) => {
        const member = memberName(node);
        return member !== null && doors.has(member) ? member : null;
      })(file),
    ],
    example: "import {readFile} from 'node:fs/promises';",
  },
];

function byNode(what: (node: Node) => string | null): Absence['find'] {
  return (file) => {
    const findings: Finding[] = [];
    visit(file.program, (node) => {
      const found = what(node);
      if (found !== null) findings.push({what: found, node});
    });
    return findings;
  };
}

/** 200 to 599 where a status is written, compared or passed. */
function statusNumber(node: Node): number | null {
  const isStatus = (part: Node) =>
    (part.type === 'Identifier' && /^status(?:Code)?$/.test(part.name)) ||
    (part.type === 'MemberExpression' &&
      part.property.type === 'Identifier' &&
      /^status(?:Code)?$/.test(part.property.name));
  const numberOf = (part: Node | undefined): number | null => {
    if (part?.type === 'ConditionalExpression') return numberOf(part.consequent) ?? numberOf(part.alternate);
    const isNumber = part?.type === 'Literal' && typeof part.value === 'number';
    return isNumber && part.value >= 100 && part.value < 600 ? part.value : null;
  };
  if (node.type === 'Property') return isStatus(node.key) ? numberOf(node.value) : null;
  if (node.type === 'AssignmentExpression') return isStatus(node.left) ? numberOf(node.right) : null;
  if (node.type === 'BinaryExpression')
    return isStatus(node.left) ? numberOf(node.right) : isStatus(node.right) ? numberOf(node.left) : null;
  const isWriteHead =
    node.type === 'CallExpression' &&
    node.callee.type === 'MemberExpression' &&
    node.callee.property.type === 'Identifier' &&
    node.callee.property.name === 'writeHead';
  return isWriteHead ? numberOf(node.arguments[0]) : null;
}

/** `let`, an empty collection, a change of something that the module declares, a static field that is not readonly. */
function mutableState(file: SourceFile): readonly Finding[] {
  if (file.program.type !== 'Program') return [];
  const findings: Finding[] = [];
  const names = new Set<string>();
  for (const statement of file.program.body) {
    const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (declaration?.type !== 'VariableDeclaration') continue;
    if (declaration.kind !== 'const')
      findings.push({what: `${declaration.kind} of the module`, node: declaration});
    for (const {id, init} of declaration.declarations) {
      if (id.type !== 'Identifier') continue;
      names.add(id.name);
      const typeText = JSON.stringify(id.typeAnnotation ?? null);
      if (init !== null && isEmptyCollection(init) && !/"Readonly|"readonly"/.test(typeText))
        findings.push({what: `${id.name}, an empty collection of the module,`, node: declaration});
    }
  }
  visit(file.program, (node) => {
    if (node.type === 'PropertyDefinition' && node.static && node.readonly !== true)
      findings.push({what: 'a static field that is not readonly', node});
    const changed = changedName(node);
    if (changed !== null && names.has(changed))
      findings.push({what: `a change of ${changed} of the module`, node});
  });
  return findings;
}

function isEmptyCollection(node: Node): boolean {
  if (node.type === 'ArrayExpression') return node.elements.length === 0;
  if (node.type === 'ObjectExpression') return node.properties.length === 0;
  return (
    node.type === 'NewExpression' &&
    node.callee.type === 'Identifier' &&
    /^(?:Weak)?(?:Map|Set)$|^Array$/.test(node.callee.name) &&
    node.arguments.length === 0
  );
}

function changedName(node: Node): string | null {
  const objectOf = (part: Node): string | null =>
    part.type === 'MemberExpression' && part.object.type === 'Identifier' ? part.object.name : null;
  if (node.type === 'AssignmentExpression') return objectOf(node.left);
  if (node.type === 'UpdateExpression') return objectOf(node.argument);
  if (node.type === 'UnaryExpression' && node.operator === 'delete') return objectOf(node.argument);
  if (node.type !== 'CallExpression' || node.callee.type !== 'MemberExpression') return null;
  const {property} = node.callee;
  return property.type === 'Identifier' && mutators.has(property.name) ? objectOf(node.callee) : null;
}

function findingsIn(absence: Absence, files: readonly SourceFile[]): string[] {
  return files
    .filter(
      ({path}) =>
        !absence.places.some((place) => place.test(path)) && absence.exceptions?.[path] === undefined,
    )
    .flatMap((file) =>
      absence
        .find(file)
        .map(({what, node}) => `${file.path}:${node.start < 0 ? -node.start : file.lineOf(node)} ${what}`),
    );
}

const product = readProduct();

for (const absence of absences) {
  test(`${absence.title}`, (t) => {
    t.is(findingsIn(absence, product).join('\n'), '');
    t.true(
      findingsIn(absence, [parseSource(absence.examplePath ?? 'reconciler/example.ts', absence.example)])
        .length > 0,
    );
    // An exception that nobody needs any more goes.
    for (const path of Object.keys(absence.exceptions ?? {})) {
      const file = product.find((candidate) => candidate.path === path);
      t.true(file !== undefined && absence.find(file).length > 0, `${path} needs no exception`);
    }
  });
}
