import {registerIncusClusterContract} from '../contract/incus-cluster.ts';
import {startTestCluster} from '../helpers/incus-cluster.ts';

registerIncusClusterContract('a cluster of Incus', await startTestCluster('incus'));
