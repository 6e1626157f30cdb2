#include <cstdio>
#include <snnfp/snnfp.hpp>

int main() {
  snnfp::Network<double> net;
  const auto x = net.add_input("x", 1);
  const auto h = net.add_population("h", 1, {2.0, 1.0});  // tau_mem, tau_syn
  net.connect_dense(x, h, {5.0});
  const auto record = snnfp::simulate<double>(net, {snnfp::single_sample<double>({{0.1, 0}})});
  const std::vector<double> one(record.times.size(), 1.0);  // the loss: the sum of spike times
  const auto gradient = snnfp::vjp<double>(record, one, {{snnfp::Parameter::Kind::weight, 0}});
  for (double t : record.times) std::printf("spike at %.12f\n", t);
  std::printf("dL/dw    %.12f\n", gradient[0]);
}
