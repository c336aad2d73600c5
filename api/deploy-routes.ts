import {Hono} from 'hono';
import type {Controller} from '../reconciler/controller.ts';
import type {Deliveries} from '../reconciler/deliveries.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {Branch} from '../schemas/branch.ts';
import {AppError} from '../schemas/errors.ts';
import type {Deployer} from './deployers.ts';
import {errorResponse} from './errors.ts';

/** Who asks. */
interface DeployBindings {
  readonly deployer: Deployer;
}

/**
 * All that a deployer may ask of the controller's API: the branches of its repositories, a look at one of them, and
 * what became of what it told. The same shapes as for everybody.
 */
export function deployRoutes({
  controller,
  deliveries,
  forgePathOf,
  log,
}: {
  controller: Controller;
  deliveries: Deliveries;
  /** `host/owner/name` of a watched repository; null where no forge has it. */
  forgePathOf: (repository: string) => string | null;
  log: Log;
}): Hono<{Bindings: DeployBindings}> {
  const app = new Hono<{Bindings: DeployBindings}>();
  app.onError((error) => errorResponse(error, log));
  app.notFound(() =>
    errorResponse(
      new AppError(
        'FORBIDDEN',
        'This token is for deployments: it may read the branches of its repository, ask for a look at one, and see what became of what it told. Everything else needs the token of <state>/token.',
      ),
      log,
    ),
  );
  const isOwn = (repository: string, {mayDeploy}: Deployer) =>
    mayDeploy(forgePathOf(repository) ?? repository);
  const branchesOf = (deployer: Deployer) =>
    controller.branches().filter(({repository}) => isOwn(repository, deployer));
  const branchOf = (key: string, deployer: Deployer): Branch => {
    const branch = branchesOf(deployer).find((candidate) => candidate.key === key);
    if (branch !== undefined) return branch;
    throw new AppError('BRANCH_NOT_FOUND', 'No branch of a repository of this token has this key.');
  };

  app.get('/api/v1/branches', (c) => c.json({items: branchesOf(c.env.deployer)}));
  app.get('/api/v1/branches/:key', (c) => c.json(branchOf(c.req.param('key'), c.env.deployer)));
  app.post('/api/v1/branches/:key/reconcile', (c) => {
    const {key} = branchOf(c.req.param('key'), c.env.deployer);
    return c.json({request_id: controller.reconcile(key)}, 202);
  });
  app.get('/api/v1/deliveries/:id', (c) => {
    const delivery = deliveries.get(c.req.param('id'));
    const {deployer} = c.env;
    const named = delivery.watched.length > 0 ? delivery.watched : [delivery.repository ?? ''];
    if (named.every((repository) => isOwn(repository, deployer))) return c.json(delivery);
    throw new AppError('DELIVERY_NOT_FOUND', 'No delivery about a repository of this token has this id.');
  });
  return app;
}
