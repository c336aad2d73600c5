import test from 'ava';
import {parseSource, readProduct, type SourceFile, type SourceImport} from '../helpers/source-tree.ts';

/** Pure and synchronous: what they say depends on their arguments alone. */
const pureReconciler =
  /^reconciler\/(?:desired|plan|status|outcome|deletion|branch-view|observation|digests|idle|branch-key|branch-record)\.ts$/;
const ports = /^reconciler\/(?:containers\/provider|sources\/source|runtime-client|forge)\.ts$/;
const adapters = /^reconciler\/(?:containers|sources)\//;
const engine = /^runtime\/(cron|exec|pipe|notifications|storage|workspace|control)\//;

type Rule = (target: string, typesOnly: boolean) => boolean;

const isSchema = (target: string) => target.startsWith('schemas/');
const isPlatform = (target: string) => target.startsWith('runtime/platform/');

/** First match wins. The right side says what a file may import of the product. */
const table: readonly {readonly name: string; readonly files: RegExp; readonly allows: Rule}[] = [
  {
    name: 'main files and the command line know everybody',
    files: /^(?:cli\/|runtime\/(?:main|services|listeners|pipe-main|start)\.ts$)/,
    allows: () => true,
  },
  {name: 'schemas import schemas', files: /^schemas\//, allows: isSchema},
  {
    name: 'the platform imports schemas',
    files: /^runtime\/platform\//,
    allows: (target) => isSchema(target) || isPlatform(target),
  },
  {
    name: 'an engine imports schemas, the platform and itself',
    files: /^runtime\//,
    allows: (target) => isSchema(target) || isPlatform(target),
  },
  {
    name: 'pure reconciler files import schemas, each other and the shapes of ports',
    files: pureReconciler,
    allows: (target, typesOnly) =>
      isSchema(target) || pureReconciler.test(target) || (typesOnly && ports.test(target)),
  },
  {
    name: 'adapters import schemas, the platform, ports, pure files and their neighbours',
    files: adapters,
    allows: (target) =>
      isSchema(target) || isPlatform(target) || ports.test(target) || pureReconciler.test(target),
  },
  {
    name: 'the reconciler imports schemas, the platform, itself and ports, not adapters',
    files: /^reconciler\//,
    allows: (target) =>
      isSchema(target) ||
      isPlatform(target) ||
      ports.test(target) ||
      (target.startsWith('reconciler/') && !adapters.test(target)),
  },
  {
    name: 'the API imports schemas, itself and types',
    files: /^api\//,
    allows: (target, typesOnly) => isSchema(target) || target.startsWith('api/') || typesOnly,
  },
];

/** Packages a module may use; others may use any. */
const packages: readonly {readonly files: RegExp; readonly allowed: readonly string[]}[] = [
  {files: pureReconciler, allowed: ['zod', 'node:crypto']},
  {files: /^schemas\/generate\.ts$/, allowed: ['zod', 'node:fs/promises']},
  {files: /^schemas\//, allowed: ['zod', 'yaml', 'cron-validate']},
];

function forbidden(file: SourceFile, wanted: SourceImport): string | null {
  if (!wanted.isLocal) {
    const rule = packages.find(({files}) => files.test(file.path));
    const isAllowed = (name: string) => wanted.target === name || wanted.target.startsWith(`${name}/`);
    if (rule === undefined || rule.allowed.some(isAllowed)) return null;
    return `may use ${rule.allowed.join(', ')}`;
  }
  const rule = table.find(({files}) => files.test(file.path));
  if (rule === undefined) return 'belongs to no module of the table';
  const neighbours = neighbourhood(file.path);
  if (neighbours !== null && wanted.target.startsWith(neighbours)) return null;
  return rule.allows(wanted.target, wanted.typesOnly) ? null : rule.name;
}

/** `runtime/cron/` for an engine's file, `reconciler/sources/` for an adapter's. */
function neighbourhood(path: string): string | null {
  return engine.exec(path)?.[0] ?? adapters.exec(path)?.[0] ?? null;
}

function violations(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    file.imports.flatMap((wanted) => {
      const reason = forbidden(file, wanted);
      return reason === null ? [] : [`${file.path}:${wanted.line} imports ${wanted.target}: ${reason}`];
    }),
  );
}

test('every import of the product is one that its module may make', (t) => {
  const files = readProduct();
  t.true(files.length > 100);
  t.is(violations(files).join('\n'), '');
});

for (const {title, path, text} of [
  {
    title: 'one engine in another',
    path: 'runtime/cron/x.ts',
    text: "import type {A} from '../exec/service.ts';",
  },
  {
    title: 'the API in an engine',
    path: 'runtime/exec/x.ts',
    text: "import {a} from '../../api/errors.ts';",
  },
  {
    title: 'a value of the runtime in the API',
    path: 'api/x.ts',
    text: "import {a} from '../runtime/cron/service.ts';",
  },
  {
    title: 'an adapter in the loop',
    path: 'reconciler/x.ts',
    text: "import {a} from './sources/git-local.ts';",
  },
  {
    title: 'the platform in a pure file',
    path: 'reconciler/plan.ts',
    text: "await import('../runtime/platform/clock.ts');",
  },
  {
    title: 'a port as a value in a pure file',
    path: 'reconciler/status.ts',
    text: "export {a} from './sources/source.ts';",
  },
  {title: 'a package in the schemas', path: 'schemas/x.ts', text: "import {Hono} from 'hono';"},
]) {
  test(`the table refuses ${title}`, (t) => {
    t.is(violations([parseSource(path, text)]).length, 1);
  });
}
