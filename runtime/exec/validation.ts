import {isBuiltin} from 'node:module';
import type {
  DependencyReport,
  MagicCommentReport,
  ReturnReport,
  SyntaxReport,
  ValidateRequest,
  ValidationReport,
} from '../../schemas/exec-management.ts';
import {magicCommentProblem} from '../../schemas/magic-comments.ts';
import type {LoadedForm} from './inspections.ts';
import {readMagicComments, redactMagicComments} from './magic-comments.ts';
import type {ScriptInspector} from './script-inspector.ts';

/** What imports of a script may find. */
export interface KnownModules {
  hasPackage(name: string): boolean;
  /** A neighbour, as it is written in the file `from`. */
  hasFile(specifier: string, from: string): boolean;
}

const untitled = 'script.ts';

/** Reports about a text that is not run. They never throw for what is in it, but for one that brings the parser down. */
export interface Validation {
  script(request: ValidateRequest): Promise<ValidationReport>;
  syntax(request: ValidateRequest): Promise<SyntaxReport>;
  dependencies(request: ValidateRequest): Promise<DependencyReport>;
  magicComments(request: Pick<ValidateRequest, 'code'>): MagicCommentReport;
  returnType(request: ValidateRequest): Promise<ReturnReport>;
}

export function createValidation(inspector: ScriptInspector, known: () => Promise<KnownModules>): Validation {
  async function syntax({code, path = untitled}: ValidateRequest): Promise<SyntaxReport> {
    const errors = await inspector.check({path, text: code});
    return {valid: errors.length === 0, errors};
  }

  async function dependencies({code, path = untitled}: ValidateRequest): Promise<DependencyReport> {
    const {hasPackage, hasFile} = await known();
    const found = (await inspector.ask('imports', {path, text: code})).map(({module, kind, line}) => {
      if (isBuiltin(module) || module === 'bun' || module.startsWith('bun:'))
        return {module, kind, line, source: 'builtin' as const, available: true};
      if (module.startsWith('.'))
        return {module, kind, line, source: 'file' as const, available: hasFile(module, path)};
      return {module, kind, line, source: 'package' as const, available: hasPackage(packageOf(module))};
    });
    const missing = found.filter(({available}) => !available).map(({module}) => module);
    // A missing one may be installed, or written next: it is no reason to refuse the script.
    return {valid: true, dependencies: found, missing: [...new Set(missing)]};
  }

  return {
    syntax,
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
      const found = await syntax(request);
      const comments = magicComments(request);
      const loaded = found.valid ? await inspector.ask('loadedForm', {path, text: code}) : null;
      return {
        valid: found.valid,
        results: {
          syntax: found,
          typescript: {valid: found.valid, errors: found.errors},
          dependencies: found.valid
            ? await dependencies(request)
            : {valid: false, dependencies: [], missing: []},
          magicComments: comments.magicComments,
          magicCommentWarnings: comments.warnings,
          normalized: loaded?.text ?? null,
          transformations: loaded === null ? [] : transformationsOf(loaded),
        },
        message: found.valid ? 'Script is valid' : 'Script validation failed',
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
