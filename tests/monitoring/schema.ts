// The type of packaging/grafana/signet.json: the types of Grafana, and for each type of panel the types of its options.
import type { Dashboard, GraphFieldConfig } from '@grafana/schema';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type * as raw from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';

/** JSON has the value of an enum instead of the enum. */
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

interface Query {
  refId: string;
  datasource: { type: 'prometheus'; uid: '${datasource}' };
  expr: string;
  legendFormat: string;
  instant?: true;
  range?: true;
}

interface PanelOf<Type extends string, Options, Custom>
  extends Omit<raw.Panel, 'type' | 'targets' | 'options' | 'fieldConfig'> {
  type: Type;
  title: string;
  description: string;
  targets: Query[];
  options: Options;
  fieldConfig: Omit<raw.FieldConfigSource, 'defaults'> & {
    defaults: Omit<raw.FieldConfig, 'custom'> & { unit: string; custom?: Custom };
  };
}

export type SignetDashboard = Json<
  Omit<Dashboard, 'panels'> & {
    panels: (
      | raw.RowPanel
      | PanelOf<'stat', stat.Options, never>
      | PanelOf<'timeseries', timeseries.Options, GraphFieldConfig>
    )[];
  }
>;
