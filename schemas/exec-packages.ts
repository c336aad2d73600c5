import * as z from 'zod';

/** Shapes of the routes about npm packages of scripts. */

/** A package as npm names it, with an optional version, range or tag. */
const moduleName = z
  .string()
  .max(300)
  .regex(
    /^(?:@[a-z0-9~][a-z0-9._~-]*\/)?[a-z0-9~][a-z0-9._~-]*(?:@[\^~<>=]{0,2}[A-Za-z0-9][A-Za-z0-9.+_-]*)?$/,
    'Write a package of a registry, for example lodash or @scope/name@1.2.3.',
  );
const dependencies = z.record(moduleName, z.string().max(300));

export const checkDependenciesSchema = z
  .object({
    code: z
      .string()
      .max(8 * 1024 * 1024)
      .optional(),
    modules: z.array(z.string().max(300)).max(1000).optional(),
  })
  .refine(({code, modules}) => (code === undefined) !== (modules === undefined), {
    message: 'Send either code or modules.',
  })
  .meta({id: 'CheckDependencies'});

export const checkedDependenciesSchema = z
  .object({
    modules: z.array(
      z.object({
        module: z.string(),
        source: z.enum(['builtin', 'file', 'package']),
        available: z.boolean(),
      }),
    ),
    missing: z.array(z.string()),
  })
  .meta({id: 'CheckedDependencies'});
export type CheckedDependencies = z.infer<typeof checkedDependenciesSchema>;

export const bundledModulesSchema = z
  .object({count: z.int(), modules: z.array(z.string())})
  .meta({id: 'BundledModules'});

export const installModulesSchema = z
  .object({modules: z.array(moduleName).min(1).max(100), force: z.boolean().default(false)})
  .meta({id: 'InstallModules'});
export const updatePackageSchema = z
  .object({
    dependencies: dependencies.default({}),
    remove: z.array(moduleName).max(1000).default([]),
  })
  .meta({id: 'UpdatePackage'});
export type UpdatePackage = z.infer<typeof updatePackageSchema>;
export const initPackageSchema = z
  .object({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,100}$/)
      .default('scripts'),
    force: z.boolean().default(false),
  })
  .meta({id: 'InitPackage'});
export type InitPackage = z.infer<typeof initPackageSchema>;
export const pinPackagesSchema = z
  .object({modules: z.array(moduleName).max(1000).optional().meta({description: 'All unless given.'})})
  .meta({id: 'PinPackages'});

export const packageViewSchema = z
  .object({
    packageJson: z.record(z.string(), z.unknown()).nullable(),
    lockFile: z.string().nullable(),
    installed: z.record(z.string(), z.string()).meta({description: 'Name to version.'}),
  })
  .meta({id: 'Package'});
export type PackageView = z.infer<typeof packageViewSchema>;

export const comparedPackagesSchema = z
  .object({
    inSync: z.boolean(),
    dependencies: z.array(
      z.object({name: z.string(), declared: z.string(), installed: z.string().nullable()}),
    ),
  })
  .meta({id: 'ComparedPackages'});
export type ComparedPackages = z.infer<typeof comparedPackagesSchema>;
