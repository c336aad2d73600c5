import {isBuiltin} from 'node:module';
import type {
  DependencyReport,
  MagicCommentReport,
  ReturnReport,
  SyntaxReport,
  TypescriptReport,
  ValidateRequest,
  ValidationReport,
} from '../../schemas/exec-management.ts';
import type {TypeReport} from '../../schemas/exec-scripts.ts';
import type {TextIssue} from '../../schemas/issue.ts';
import {magicCommentProblem} from '../../schemas/magic-comments.ts';
import type {LoadedForm} from './inspections.ts';
import {readMagicComments, redactMagicComments} from './magic-comments.ts';
import type {ScriptInspector} from './script-inspector.ts';
import type {TypeChecker} from './type-checker.ts';

/** What imports of a script may find. */
export interface KnownModules {
  hasPackage(name: string): Promise<boolean>;
  /** A neighbour, as it is written in the file `from`. */
  hasFile(specifier: string, from: string): boolean;
}

const untitled = 'script.ts';

/** Reports about a text that is not run. They never throw for what is in it, but for one that brings the parser down. */
export interface Validation {
  script(request: ValidateRequest): Promise<ValidationReport>;
  syntax(request: ValidateRequest): Promise<SyntaxReport>;
  types(request: ValidateRequest): Promise<TypeReport>;
  /** Syntax and types together. */
  typescript(request: ValidateRequest): Promise<TypescriptReport>;
  /** What is no reason to refuse a script that parses, with its places. */
  warnings(request: ValidateRequest): Promise<TextIssue[]>;
  dependencies(request: ValidateRequest): Promise<DependencyReport>;
  magicComments(request: Pick<ValidateRequest, 'code'>): MagicCommentReport;
  returnType(request: ValidateRequest): Promise<ReturnReport>;
}

const notAsked = {
  checked: false,
  reason: 'Types were not checked. Send typecheck: true to have them checked.',
  errors: [],
} as const;

export function createValidation(
  inspector: ScriptInspector,
  {known, types: checker}: {known: () => KnownModules; types: () => Promise<TypeChecker>},
): Validation {
  async function syntax({code, path = untitled}: ValidateRequest): Promise<SyntaxReport> {
    const errors = await inspector.check({path, text: code});
    return {valid: errors.length === 0, errors};
  }

  async function types({code, path = untitled}: ValidateRequest): Promise<TypeReport> {
    return (await checker()).check({path, text: code});
  }

  async function located({code, path = untitled}: ValidateRequest) {
    const {hasPackage, hasFile} = known();
    const imports = await inspector.ask('imports', {path, text: code});
    return Promise.all(
      imports.map(async ({module, ...place}) => {
        if (isBuiltin(module) || module === 'bun' || module.startsWith('bun:'))
          return {module, ...place, source: 'builtin' as const, available: true};
        if (module.startsWith('.'))
          return {module, ...place, source: 'file' as const, available: hasFile(module, path)};
        const available = await hasPackage(packageOf(module));
        return {module, ...place, source: 'package' as const, available};
      }),
    );
  }

  async function dependencies(request: ValidateRequest): Promise<DependencyReport> {
    const found = await located(request);
    const missing = found.filter(({available}) => !available).map(({module}) => module);
    // A missing one may be installed, or written next: it is no reason to refuse the script.
    const shown = found.map(({column: _, ...rest}) => rest);
    return {valid: true, dependencies: shown, missing: [...new Set(missing)]};
  }

  async function warnings(request: ValidateRequest): Promise<TextIssue[]> {
    const {code, path = untitled} = request;
    const [compiled, imports] = await Promise.all([
      inspector.ask('compile', {path, text: code}),
      located(request),
    ]);
    const missing = imports
      .filter(({available}) => !available)
      .map(({module, source, line, column}) => ({
        line,
        column,
        code: 'dependency_missing',
        message:
          source === 'file'
            ? `There is no script ${module} beside this one yet. Write it too.`
            : `The package ${packageOf(module)} is not installed. Add it to package.json and the lock file, or send it to /dependencies/install.`,
      }));
    return [...compiled.warnings, ...missing].sort((a, b) => a.line - b.line || a.column - b.column);
  }

  async function typescript(request: ValidateRequest, isAsked = true): Promise<TypescriptReport> {
    const {valid, errors} = await syntax(request);
    const report = valid && isAsked ? await types(request) : notAsked;
    const wrong = [...errors, ...report.errors];
    const reason = valid ? report.reason : 'Types were not checked: the script does not parse.';
    return {valid: wrong.length === 0, errors: wrong, typesChecked: report.checked, reason};
  }

  return {
    syntax,
    types,
    typescript: (request) => typescript(request),
    warnings,
    dependencies,
    magicComments,
    async returnType({code, path = untitled}) {
      const {form, returns} = await inspector.ask('returns', {path, text: code});
      const types = [...new Set(returns.map(({type}) => type))].sort();
      const ofBody = types.length === 0 ? 'undefined' : types.join(' | ');
      return {valid: true, form, returns: [...returns], returnType: form === 'body' ? ofBody : 'handler'};
    },
    async script(request) {
      const {code, path = untitled} = request;
      const [found, typed] = await Promise.all([
        syntax(request),
        typescript(request, request.typecheck ?? false),
      ]);
      const comments = magicComments(request);
      const loaded = found.valid ? await inspector.ask('loadedForm', {path, text: code}) : null;
      return {
        valid: typed.valid,
        results: {
          syntax: found,
          typescript: typed,
          dependencies: found.valid
            ? await dependencies(request)
            : {valid: false, dependencies: [], missing: []},
          magicComments: comments.magicComments,
          magicCommentWarnings: comments.warnings,
          warnings: found.valid ? await warnings(request) : [],
          normalized: loaded?.text ?? null,
          transformations: loaded === null ? [] : transformationsOf(loaded),
        },
        message: typed.valid ? 'Script is valid' : 'Script validation failed',
      };
    },
  };
}

function magicComments({code}: Pick<ValidateRequest, 'code'>): MagicCommentReport {
  const comments = readMagicComments(code);
  const warnings = Object.entries(comments).flatMap(
    ([name, value]) => magicCommentProblem(name, value) ?? [],
  );
  return {valid: true, magicComments: redactMagicComments(comments), warnings};
}

function transformationsOf({form, hasImports}: LoadedForm): string[] {
  if (form === 'default_export' || form === 'method_exports') return [];
  return [...(hasImports ? ['imports_hoisted'] : []), 'body_wrapped'];
}

/** `@scope/name/part` belongs to the package `@scope/name`. */
function packageOf(module: string): string {
  return module
    .split('/')
    .slice(0, module.startsWith('@') ? 2 : 1)
    .join('/');
}
